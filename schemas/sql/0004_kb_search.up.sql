-- What the knowledge base's search and its synchronisation keep: how common each word is, what was read last, and whose
-- turn it is to look through a source.

ALTER TABLE kb_documents ADD COLUMN etag text NOT NULL DEFAULT ''; -- of the object as it was read; '' reads it again

-- In how many texts a word occurs, by text search configuration. Corpus "kb": passages; "ticket": accepted answers.
CREATE TABLE kb_terms (
    tenant text NOT NULL,
    corpus text NOT NULL CHECK (corpus IN ('kb', 'ticket')),
    config regconfig NOT NULL,
    lexeme text NOT NULL,
    texts  int NOT NULL,
    PRIMARY KEY (tenant, corpus, config, lexeme)
) WITH (fillfactor = 70);

CREATE TABLE kb_corpora (
    tenant text NOT NULL,
    corpus text NOT NULL CHECK (corpus IN ('kb', 'ticket')),
    config regconfig NOT NULL,
    texts  int NOT NULL,
    words  bigint NOT NULL, -- different words of each text, summed
    PRIMARY KEY (tenant, corpus, config)
) WITH (fillfactor = 70);

-- The one process that looks through a source by itself, until its lease ends.
CREATE TABLE kb_scans (
    tenant      text NOT NULL,
    source      text NOT NULL,
    holder      text NOT NULL,
    lease_until timestamptz NOT NULL,
    PRIMARY KEY (tenant, source)
);

-- Keeps kb_terms and kb_corpora; argument: the corpus. The lock makes concurrent changes take turns instead of
-- deadlocking on the common words.
CREATE FUNCTION kb_count_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('kb_count_terms'), hashtext(TG_ARGV[0]));
    IF TG_OP <> 'INSERT' THEN
        WITH gone AS (
            SELECT r.tenant, r.config, u.lexeme, count(*) AS n
            FROM removed r, unnest(r.tsv) u GROUP BY 1, 2, 3
        ), dropped AS (
            DELETE FROM kb_terms t USING gone g
            WHERE (t.tenant, t.corpus, t.config, t.lexeme) = (g.tenant, TG_ARGV[0], g.config, g.lexeme) AND t.texts <= g.n
        )
        UPDATE kb_terms t SET texts = t.texts - g.n FROM gone g
        WHERE (t.tenant, t.corpus, t.config, t.lexeme) = (g.tenant, TG_ARGV[0], g.config, g.lexeme) AND t.texts > g.n;

        UPDATE kb_corpora c SET texts = c.texts - g.n, words = c.words - g.words
        FROM (SELECT tenant, config, count(*) AS n, sum(length(tsv)) AS words FROM removed GROUP BY 1, 2) g
        WHERE (c.tenant, c.corpus, c.config) = (g.tenant, TG_ARGV[0], g.config);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO kb_terms AS t (tenant, corpus, config, lexeme, texts)
        SELECT a.tenant, TG_ARGV[0], a.config, u.lexeme, count(*)
        FROM added a, unnest(a.tsv) u GROUP BY a.tenant, a.config, u.lexeme
        ON CONFLICT (tenant, corpus, config, lexeme) DO UPDATE SET texts = t.texts + EXCLUDED.texts;

        INSERT INTO kb_corpora AS c (tenant, corpus, config, texts, words)
        SELECT tenant, TG_ARGV[0], config, count(*), sum(length(tsv)) FROM added GROUP BY tenant, config
        ON CONFLICT (tenant, corpus, config)
        DO UPDATE SET texts = c.texts + EXCLUDED.texts, words = c.words + EXCLUDED.words;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER kb_passages_added AFTER INSERT ON kb_passages REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION kb_count_terms('kb');
CREATE TRIGGER kb_passages_removed AFTER DELETE ON kb_passages REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION kb_count_terms('kb');
CREATE TRIGGER kb_passages_changed AFTER UPDATE ON kb_passages REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION kb_count_terms('kb');
CREATE TRIGGER resolutions_added AFTER INSERT ON resolutions REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION kb_count_terms('ticket');
CREATE TRIGGER resolutions_removed AFTER DELETE ON resolutions REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION kb_count_terms('ticket');
CREATE TRIGGER resolutions_changed AFTER UPDATE ON resolutions REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION kb_count_terms('ticket');

INSERT INTO kb_terms (tenant, corpus, config, lexeme, texts)
SELECT p.tenant, 'kb', p.config, u.lexeme, count(*) FROM kb_passages p, unnest(p.tsv) u GROUP BY 1, 3, 4
UNION ALL
SELECT r.tenant, 'ticket', r.config, u.lexeme, count(*) FROM resolutions r, unnest(r.tsv) u GROUP BY 1, 3, 4;
INSERT INTO kb_corpora (tenant, corpus, config, texts, words)
SELECT tenant, 'kb', config, count(*), sum(length(tsv)) FROM kb_passages GROUP BY 1, 3
UNION ALL
SELECT tenant, 'ticket', config, count(*), sum(length(tsv)) FROM resolutions GROUP BY 1, 3;

-- One lexeme as a query.
CREATE FUNCTION kb_term(lexeme text) RETURNS tsquery LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT ('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''')::tsquery
$$;

-- The next revision of the tenant's base; changes of one base take turns from here to the end of the transaction.
CREATE FUNCTION kb_next_revision(p_tenant text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_revision bigint;
BEGIN
    UPDATE kb_revisions SET revision = revision + 1 WHERE tenant = p_tenant RETURNING revision INTO v_revision;
    PERFORM pg_notify('kb_revision', p_tenant || ' ' || v_revision);
    RETURN v_revision;
END $$;

CREATE FUNCTION kb_lock(p_tenant text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO kb_revisions (tenant, revision) VALUES (p_tenant, 0) ON CONFLICT DO NOTHING;
    PERFORM 1 FROM kb_revisions WHERE tenant = p_tenant FOR UPDATE;
END $$;

-- Puts a document with its passages in the place of what was there. `p_seen` is the row's revision (0: no row) as it was
-- before the object was read: when it has changed since, the object must be read again ("conflict").
CREATE FUNCTION kb_put_document(p_tenant text, p_source text, p_key text, p_seen bigint, p_title text, p_uri text,
    p_locale text, p_fingerprint text, p_etag text, p_size bigint, p_modified_ms bigint, p_state text, p_why text,
    p_config regconfig, p_paths text[], p_anchors text[], p_texts text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_old      kb_documents;
    v_revision bigint;
    v_modified timestamptz := to_timestamp(p_modified_ms / 1000.0);
BEGIN
    PERFORM kb_lock(p_tenant);
    SELECT * INTO v_old FROM kb_documents WHERE (tenant, source, object_key) = (p_tenant, p_source, p_key);
    IF coalesce(v_old.revision, 0) <> p_seen THEN
        RETURN 'conflict';
    END IF;
    IF v_old.fingerprint = p_fingerprint AND v_old.state = p_state THEN
        UPDATE kb_documents SET etag = p_etag, size = p_size, modified_at = v_modified, synced_at = now()
        WHERE (tenant, source, object_key) = (p_tenant, p_source, p_key);
        RETURN 'unchanged';
    END IF;
    v_revision := kb_next_revision(p_tenant);
    INSERT INTO kb_documents (tenant, source, object_key, title, uri, locale, fingerprint, etag, size, modified_at, state,
        why, revision)
    VALUES (p_tenant, p_source, p_key, p_title, p_uri, p_locale, p_fingerprint, p_etag, p_size, v_modified, p_state,
        p_why, v_revision)
    ON CONFLICT (tenant, source, object_key) DO UPDATE SET title = EXCLUDED.title, uri = EXCLUDED.uri,
        locale = EXCLUDED.locale, fingerprint = EXCLUDED.fingerprint, etag = EXCLUDED.etag, size = EXCLUDED.size,
        modified_at = EXCLUDED.modified_at, state = EXCLUDED.state, why = EXCLUDED.why, revision = EXCLUDED.revision,
        synced_at = now();
    DELETE FROM kb_passages WHERE (tenant, source, object_key) = (p_tenant, p_source, p_key);
    INSERT INTO kb_passages (tenant, source, object_key, ordinal, heading_path, anchor, text, config, tsv)
    SELECT p_tenant, p_source, p_key, n, path, anchor, body, p_config,
        setweight(to_tsvector(p_config, p_title), 'A') || setweight(to_tsvector(p_config, path), 'B')
            || to_tsvector(p_config, body)
    FROM unnest(p_paths, p_anchors, p_texts) WITH ORDINALITY AS passage (path, anchor, body, n);
    RETURN 'changed';
END $$;

-- Removes a document; `p_seen` as above. "unchanged": there was none.
CREATE FUNCTION kb_remove_document(p_tenant text, p_source text, p_key text, p_seen bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_revision bigint;
BEGIN
    PERFORM kb_lock(p_tenant);
    SELECT revision INTO v_revision FROM kb_documents WHERE (tenant, source, object_key) = (p_tenant, p_source, p_key);
    IF coalesce(v_revision, 0) <> p_seen THEN
        RETURN 'conflict';
    ELSIF v_revision IS NULL THEN
        RETURN 'unchanged';
    END IF;
    PERFORM kb_next_revision(p_tenant);
    DELETE FROM kb_documents WHERE (tenant, source, object_key) = (p_tenant, p_source, p_key);
    RETURN 'changed';
END $$;
