-- Vectors of passages, for the search by meaning. They belong to texts, not to documents: a text that is unchanged, moved
-- or comes back has its vector already.

-- SHA-256 of what is embedded: title, heading path and text. A trigger sets it, whoever writes the passage.
ALTER TABLE kb_passages ADD COLUMN text_hash bytea;

CREATE FUNCTION kb_embedded_text(p_title text, p_path text, p_text text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT concat_ws(E'\n', nullif(p_title, ''), nullif(p_path, ''), p_text)
$$;

CREATE FUNCTION kb_text_hash(p_title text, p_path text, p_text text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT sha256(convert_to(kb_embedded_text(p_title, p_path, p_text), 'UTF8'))
$$;

CREATE FUNCTION kb_hash_passage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT kb_text_hash(d.title, NEW.heading_path, NEW.text) INTO NEW.text_hash FROM kb_documents d
    WHERE (d.tenant, d.source, d.object_key) = (NEW.tenant, NEW.source, NEW.object_key);
    RETURN NEW;
END $$;

ALTER TABLE kb_passages DISABLE TRIGGER kb_passages_changed; -- no word changes
UPDATE kb_passages p SET text_hash = kb_text_hash(d.title, p.heading_path, p.text) FROM kb_documents d
WHERE (d.tenant, d.source, d.object_key) = (p.tenant, p.source, p.object_key);
ALTER TABLE kb_passages ENABLE TRIGGER kb_passages_changed;

CREATE TRIGGER kb_passages_hash BEFORE INSERT OR UPDATE OF heading_path, text ON kb_passages
    FOR EACH ROW EXECUTE FUNCTION kb_hash_passage();
CREATE INDEX kb_passages_by_text ON kb_passages (tenant, text_hash);

-- `model`: provider, id and dimensions, "openai/MODEL/384". `version` is that of kb_vector_bases at the last change, so that
-- searchers read only what is new to them.
CREATE TABLE kb_vectors (
    tenant         text NOT NULL,
    model          text NOT NULL,
    text_hash      bytea NOT NULL,
    vector         bytea,       -- model/vector.h; NULL: the model does not take the text
    why            text NOT NULL DEFAULT '',
    version        bigint NOT NULL,
    made_at        timestamptz NOT NULL DEFAULT now(),
    unneeded_since timestamptz, -- no passage has the text; a day later the row goes
    PRIMARY KEY (tenant, model, text_hash)
);
CREATE INDEX kb_vectors_by_version ON kb_vectors (tenant, model, version);
CREATE INDEX kb_vectors_unneeded ON kb_vectors (tenant) WHERE unneeded_since IS NOT NULL;

-- One row a tenant: which model's vectors are searched, and who makes new ones.
CREATE TABLE kb_vector_bases (
    tenant        text PRIMARY KEY,
    serving       text NOT NULL DEFAULT '', -- the model that is searched; '': none yet
    version       bigint NOT NULL DEFAULT 0,
    done_model    text NOT NULL DEFAULT '', -- all passages of `done_revision` have vectors of it
    done_revision bigint NOT NULL DEFAULT -1,
    holder        text NOT NULL DEFAULT '', -- the one process that makes them, until its lease ends
    lease_until   timestamptz NOT NULL DEFAULT '-infinity',
    retry_at      timestamptz NOT NULL DEFAULT '-infinity', -- nobody tries before
    pruned_at     timestamptz NOT NULL DEFAULT '-infinity'
);

-- The tenant's next version; changes take turns from here to the end of the transaction.
CREATE FUNCTION kb_next_vectors(p_tenant text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_version bigint;
BEGIN
    UPDATE kb_vector_bases SET version = version + 1 WHERE tenant = p_tenant RETURNING version INTO v_version;
    RETURN v_version;
END $$;

-- Takes a tenant whose base has changed since its vectors were made, or were made by another model than `p_model`
-- ("openai/MODEL/", with the dimension when it is known). No row: there is nothing to do.
CREATE FUNCTION kb_vectors_claim(p_holder text, p_model text, p_lease interval, OUT tenant text, OUT revision bigint,
    OUT model text) RETURNS SETOF record LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO kb_vector_bases (tenant) SELECT r.tenant FROM kb_revisions r
    WHERE NOT EXISTS (SELECT 1 FROM kb_vector_bases b WHERE b.tenant = r.tenant) ON CONFLICT DO NOTHING;
    RETURN QUERY
    WITH due AS (
        SELECT b.tenant, r.revision FROM kb_vector_bases b JOIN kb_revisions r ON r.tenant = b.tenant
        WHERE (r.revision <> b.done_revision OR NOT starts_with(b.done_model, p_model)) AND b.retry_at <= now()
            AND (b.holder = p_holder OR b.lease_until <= now())
        ORDER BY b.lease_until, b.tenant LIMIT 1 FOR UPDATE OF b SKIP LOCKED
    )
    UPDATE kb_vector_bases b SET holder = p_holder, lease_until = now() + p_lease FROM due
    WHERE b.tenant = due.tenant
    RETURNING b.tenant, due.revision,
        CASE WHEN starts_with(b.serving, p_model) THEN b.serving
             ELSE coalesce((SELECT v.model FROM kb_vectors v WHERE v.tenant = b.tenant AND starts_with(v.model, p_model)
                            ORDER BY v.made_at DESC LIMIT 1), '') END;
END $$;

-- Keeps vectors; false: another process has the tenant now, and nothing is kept.
CREATE FUNCTION kb_vectors_put(p_tenant text, p_holder text, p_lease interval, p_model text, p_hashes text[],
    p_vectors text[], p_why text[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_version bigint;
BEGIN
    UPDATE kb_vector_bases SET lease_until = now() + p_lease WHERE tenant = p_tenant AND holder = p_holder;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    v_version := kb_next_vectors(p_tenant);
    INSERT INTO kb_vectors AS v (tenant, model, text_hash, vector, why, version)
    SELECT p_tenant, p_model, decode(t.hash, 'hex'), decode(t.vector, 'hex'), coalesce(t.why, ''), v_version
    FROM unnest(p_hashes, p_vectors, p_why) t (hash, vector, why)
    ON CONFLICT (tenant, model, text_hash) DO UPDATE SET vector = EXCLUDED.vector, why = EXCLUDED.why,
        version = EXCLUDED.version, made_at = now(), unneeded_since = NULL;
    RETURN true;
END $$;

-- All passages of `p_revision` have vectors: the model is searched from now on, others' go, and so do those that no passage
-- has needed for a day. False: another process has the tenant now.
CREATE FUNCTION kb_vectors_done(p_tenant text, p_holder text, p_model text, p_revision bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_old kb_vector_bases;
BEGIN
    SELECT * INTO v_old FROM kb_vector_bases WHERE tenant = p_tenant AND holder = p_holder FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE kb_vector_bases SET serving = p_model, done_model = p_model, done_revision = p_revision,
        lease_until = '-infinity' WHERE tenant = p_tenant;
    IF v_old.serving <> p_model THEN
        PERFORM kb_next_vectors(p_tenant);
        DELETE FROM kb_vectors WHERE tenant = p_tenant AND model <> p_model;
    END IF;
    PERFORM kb_vectors_prune(p_tenant, v_old.pruned_at < now() - interval '1 minute');
    RETURN true;
END $$;

-- Marks vectors that passages need again, and, since that reads them all, not each time those that none needs any more.
CREATE FUNCTION kb_vectors_prune(p_tenant text, p_all boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_version bigint;
    v_changed bigint;
    v_marked  bigint := 0;
BEGIN
    SELECT version + 1 INTO v_version FROM kb_vector_bases WHERE tenant = p_tenant;
    UPDATE kb_vectors v SET version = v_version, unneeded_since = NULL
    WHERE v.tenant = p_tenant AND v.unneeded_since IS NOT NULL
        AND EXISTS (SELECT 1 FROM kb_passages p WHERE (p.tenant, p.text_hash) = (v.tenant, v.text_hash));
    GET DIAGNOSTICS v_changed = ROW_COUNT;
    IF p_all THEN
        DELETE FROM kb_vectors v WHERE v.tenant = p_tenant AND v.unneeded_since < now() - interval '1 day';
        UPDATE kb_vectors v SET version = v_version, unneeded_since = now()
        WHERE v.tenant = p_tenant AND v.unneeded_since IS NULL
            AND NOT EXISTS (SELECT 1 FROM kb_passages p WHERE (p.tenant, p.text_hash) = (v.tenant, v.text_hash));
        GET DIAGNOSTICS v_marked = ROW_COUNT;
        UPDATE kb_vector_bases SET pruned_at = now() WHERE tenant = p_tenant;
    END IF;
    IF v_changed + v_marked > 0 THEN
        PERFORM kb_next_vectors(p_tenant);
    END IF;
END $$;
