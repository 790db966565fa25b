-- What documents held, so that they can be returned to it; documents that are withdrawn; what a synchronisation has left to do.

-- Bytes of documents as they were read, once each. No change of the history needs it any more: it goes (kb_drop_contents).
CREATE TABLE kb_contents (
    tenant text NOT NULL,
    hash   bytea NOT NULL, -- SHA-256
    bytes  bytea NOT NULL,
    PRIMARY KEY (tenant, hash)
);

ALTER TABLE kb_documents
    ADD COLUMN content    bytea,       -- hash of its bytes in kb_contents; NULL: they could not be read, or are not kept
    ADD COLUMN expires_at timestamptz, -- from then on it is withdrawn; NULL: never
    DROP CONSTRAINT kb_documents_state_check,
    ADD CONSTRAINT kb_documents_state_check CHECK (state IN ('ready', 'failed', 'withdrawn'));
CREATE INDEX kb_documents_expiring ON kb_documents (tenant, source, expires_at)
    WHERE state = 'ready' AND expires_at IS NOT NULL;

-- A change holds until `until_revision`, which says otherwise: the document's next one; its own where the document was
-- removed, as no row says the same.
ALTER TABLE kb_history
    ADD COLUMN content        bytea,
    ADD COLUMN until_revision bigint, -- NULL: it holds
    ADD COLUMN until_at       timestamptz,
    DROP CONSTRAINT kb_history_kind_check,
    ADD CONSTRAINT kb_history_kind_check CHECK (kind IN ('put', 'failed', 'removed', 'withdrawn'));
UPDATE kb_history h SET until_revision = n.until_revision, until_at = n.until_at
FROM (SELECT tenant, source, object_key, revision,
        CASE kind WHEN 'removed' THEN revision ELSE lead(revision) OVER changes END AS until_revision,
        CASE kind WHEN 'removed' THEN changed_at ELSE lead(changed_at) OVER changes END AS until_at
    FROM kb_history WINDOW changes AS (PARTITION BY tenant, source, object_key ORDER BY revision)) n
WHERE (h.tenant, h.source, h.object_key, h.revision) = (n.tenant, n.source, n.object_key, n.revision);
CREATE INDEX kb_history_ended ON kb_history (tenant, source, until_at, revision) WHERE until_at IS NOT NULL;
CREATE INDEX kb_history_contents ON kb_history (tenant, content) WHERE content IS NOT NULL;

-- From which revision on the history tells of every document.
ALTER TABLE kb_revisions ADD COLUMN history_from bigint NOT NULL DEFAULT 0;
UPDATE kb_revisions SET history_from = revision;

ALTER TABLE kb_jobs ADD COLUMN remaining int NOT NULL DEFAULT 0; -- documents found that were not looked at yet

CREATE OR REPLACE FUNCTION kb_remember() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_row      kb_documents;
    v_kind     text := 'removed';
    v_revision bigint;
BEGIN
    IF TG_OP = 'DELETE' THEN
        v_row := OLD;
        v_row.content := NULL;
        v_revision := coalesce((SELECT r.revision FROM kb_revisions r WHERE r.tenant = OLD.tenant), OLD.revision);
    ELSE
        v_row := NEW;
        v_revision := NEW.revision;
        v_kind := CASE NEW.state WHEN 'ready' THEN 'put' ELSE NEW.state END;
    END IF;
    UPDATE kb_history SET until_revision = v_revision, until_at = now()
    WHERE (tenant, source, object_key) = (v_row.tenant, v_row.source, v_row.object_key) AND until_revision IS NULL
        AND revision < v_revision;
    INSERT INTO kb_history AS h (tenant, source, object_key, revision, kind, title, etag, fingerprint, size, why, content,
        until_revision, until_at)
    VALUES (v_row.tenant, v_row.source, v_row.object_key, v_revision, v_kind, v_row.title, v_row.etag, v_row.fingerprint,
        v_row.size, v_row.why, v_row.content, CASE v_kind WHEN 'removed' THEN v_revision END,
        CASE v_kind WHEN 'removed' THEN now() END)
    ON CONFLICT (tenant, source, object_key, revision) DO UPDATE SET kind = EXCLUDED.kind, changed_at = now(),
        content = EXCLUDED.content, until_revision = EXCLUDED.until_revision, until_at = EXCLUDED.until_at;
    DELETE FROM kb_history WHERE (tenant, source, object_key) = (v_row.tenant, v_row.source, v_row.object_key)
        AND revision < (SELECT revision FROM kb_history
            WHERE (tenant, source, object_key) = (v_row.tenant, v_row.source, v_row.object_key)
            ORDER BY revision DESC OFFSET 99 LIMIT 1);
    RETURN NULL;
END $$;

-- The only place where contents go: with the last change that needs them. Whoever removes changes holds kb_lock, so that
-- nobody is about to need the content again.
CREATE FUNCTION kb_drop_contents() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_gone record;
BEGIN
    -- One by one: most statements remove no change, and nobody knows how many are in `gone`, so that a join reads all contents.
    FOR v_gone IN SELECT DISTINCT tenant, content FROM gone WHERE content IS NOT NULL LOOP
        DELETE FROM kb_contents c WHERE (c.tenant, c.hash) = (v_gone.tenant, v_gone.content)
            AND NOT EXISTS (SELECT 1 FROM kb_history h WHERE (h.tenant, h.content) = (v_gone.tenant, v_gone.content));
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER kb_history_gone AFTER DELETE ON kb_history REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION kb_drop_contents();

-- Forgets what has not held for longer than `p_keep`, the oldest first, at most `p_limit` changes; returns how many.
CREATE FUNCTION kb_forget(p_tenant text, p_source text, p_keep interval, p_limit int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_count bigint;
    v_until bigint;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM kb_history WHERE tenant = p_tenant AND source = p_source AND until_at < now() - p_keep) THEN
        RETURN 0;
    END IF;
    PERFORM kb_lock(p_tenant);
    WITH old AS (
        SELECT object_key, revision, until_revision FROM kb_history
        WHERE tenant = p_tenant AND source = p_source AND until_at < now() - p_keep ORDER BY until_at, revision LIMIT p_limit
    ), gone AS (
        DELETE FROM kb_history h USING old o
        WHERE (h.tenant, h.source, h.object_key, h.revision) = (p_tenant, p_source, o.object_key, o.revision)
        RETURNING o.until_revision
    )
    SELECT count(*), max(until_revision) INTO v_count, v_until FROM gone;
    UPDATE kb_revisions SET history_from = greatest(history_from, v_until) WHERE tenant = p_tenant;
    RETURN v_count;
END $$;

-- As before, with `p_expires_ms` (wall time; NULL: never) and the bytes that were read (NULL: they could not be, or are not to
-- be kept).
CREATE FUNCTION kb_put_document(p_tenant text, p_source text, p_key text, p_seen bigint, p_title text, p_uri text,
    p_locale text, p_fingerprint text, p_etag text, p_size bigint, p_modified_ms bigint, p_state text, p_why text,
    p_config regconfig, p_paths text[], p_anchors text[], p_texts text[], p_expires_ms bigint, p_bytes bytea) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_old      kb_documents;
    v_revision bigint;
    v_modified timestamptz := to_timestamp(p_modified_ms / 1000.0);
    v_expires  timestamptz := to_timestamp(p_expires_ms / 1000.0);
    v_hash     bytea := sha256(p_bytes);
BEGIN
    PERFORM kb_lock(p_tenant);
    SELECT * INTO v_old FROM kb_documents WHERE (tenant, source, object_key) = (p_tenant, p_source, p_key);
    IF coalesce(v_old.revision, 0) <> p_seen THEN
        RETURN 'conflict';
    END IF;
    IF v_hash IS NOT NULL AND v_old.content IS DISTINCT FROM v_hash THEN
        INSERT INTO kb_contents (tenant, hash, bytes) VALUES (p_tenant, v_hash, p_bytes) ON CONFLICT DO NOTHING;
    END IF;
    IF v_old.fingerprint = p_fingerprint AND v_old.state = p_state THEN
        UPDATE kb_documents SET etag = p_etag, size = p_size, modified_at = v_modified, synced_at = now(),
            content = coalesce(v_hash, content)
        WHERE (tenant, source, object_key) = (p_tenant, p_source, p_key);
        IF v_old.content IS NULL AND v_hash IS NOT NULL THEN
            UPDATE kb_history SET content = v_hash
            WHERE (tenant, source, object_key, revision) = (p_tenant, p_source, p_key, v_old.revision);
        END IF;
        RETURN 'unchanged';
    END IF;
    v_revision := kb_next_revision(p_tenant);
    INSERT INTO kb_documents (tenant, source, object_key, title, uri, locale, fingerprint, etag, size, modified_at, state,
        why, revision, content, expires_at)
    VALUES (p_tenant, p_source, p_key, p_title, p_uri, p_locale, p_fingerprint, p_etag, p_size, v_modified, p_state,
        p_why, v_revision, v_hash, v_expires)
    ON CONFLICT (tenant, source, object_key) DO UPDATE SET title = EXCLUDED.title, uri = EXCLUDED.uri,
        locale = EXCLUDED.locale, fingerprint = EXCLUDED.fingerprint, etag = EXCLUDED.etag, size = EXCLUDED.size,
        modified_at = EXCLUDED.modified_at, state = EXCLUDED.state, why = EXCLUDED.why, revision = EXCLUDED.revision,
        content = EXCLUDED.content, expires_at = EXCLUDED.expires_at, synced_at = now();
    DELETE FROM kb_passages WHERE (tenant, source, object_key) = (p_tenant, p_source, p_key);
    INSERT INTO kb_passages (tenant, source, object_key, ordinal, heading_path, anchor, text, config, tsv)
    SELECT p_tenant, p_source, p_key, n, path, anchor, body, p_config,
        setweight(to_tsvector(p_config, p_title), 'A') || setweight(to_tsvector(p_config, path), 'B')
            || to_tsvector(p_config, body)
    FROM unnest(p_paths, p_anchors, p_texts) WITH ORDINALITY AS passage (path, anchor, body, n);
    RETURN 'changed';
END $$;

-- For a kb-sync of the version before, as long as one runs.
CREATE OR REPLACE FUNCTION kb_put_document(p_tenant text, p_source text, p_key text, p_seen bigint, p_title text, p_uri text,
    p_locale text, p_fingerprint text, p_etag text, p_size bigint, p_modified_ms bigint, p_state text, p_why text,
    p_config regconfig, p_paths text[], p_anchors text[], p_texts text[]) RETURNS text LANGUAGE sql AS $$
    SELECT kb_put_document(p_tenant, p_source, p_key, p_seen, p_title, p_uri, p_locale, p_fingerprint, p_etag, p_size,
        p_modified_ms, p_state, p_why, p_config, p_paths, p_anchors, p_texts, NULL, NULL)
$$;
