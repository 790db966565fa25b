UPDATE kb_documents SET state = 'failed' WHERE state = 'withdrawn';
UPDATE kb_history SET kind = 'failed' WHERE kind = 'withdrawn';
DROP FUNCTION kb_put_document(text, text, text, bigint, text, text, text, text, text, bigint, bigint, text, text, regconfig,
    text[], text[], text[], bigint, bytea);
DROP FUNCTION kb_forget(text, text, interval, int);
DROP TRIGGER kb_history_gone ON kb_history;
DROP FUNCTION kb_drop_contents();

CREATE OR REPLACE FUNCTION kb_remember() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_row      kb_documents;
    v_kind     text := 'removed';
    v_revision bigint;
BEGIN
    IF TG_OP = 'DELETE' THEN
        v_row := OLD;
        v_revision := coalesce((SELECT r.revision FROM kb_revisions r WHERE r.tenant = OLD.tenant), OLD.revision);
    ELSE
        v_row := NEW;
        v_revision := NEW.revision;
        v_kind := CASE NEW.state WHEN 'ready' THEN 'put' ELSE 'failed' END;
    END IF;
    INSERT INTO kb_history AS h (tenant, source, object_key, revision, kind, title, etag, fingerprint, size, why)
    VALUES (v_row.tenant, v_row.source, v_row.object_key, v_revision, v_kind, v_row.title, v_row.etag, v_row.fingerprint,
        v_row.size, v_row.why)
    ON CONFLICT (tenant, source, object_key, revision) DO UPDATE SET kind = EXCLUDED.kind, changed_at = now();
    DELETE FROM kb_history WHERE (tenant, source, object_key) = (v_row.tenant, v_row.source, v_row.object_key)
        AND revision < (SELECT revision FROM kb_history
            WHERE (tenant, source, object_key) = (v_row.tenant, v_row.source, v_row.object_key)
            ORDER BY revision DESC OFFSET 99 LIMIT 1);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION kb_put_document(p_tenant text, p_source text, p_key text, p_seen bigint, p_title text, p_uri text,
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

ALTER TABLE kb_jobs DROP COLUMN remaining;
ALTER TABLE kb_revisions DROP COLUMN history_from;
ALTER TABLE kb_history
    DROP COLUMN content,
    DROP COLUMN until_revision,
    DROP COLUMN until_at,
    DROP CONSTRAINT kb_history_kind_check,
    ADD CONSTRAINT kb_history_kind_check CHECK (kind IN ('put', 'failed', 'removed'));
ALTER TABLE kb_documents
    DROP COLUMN content,
    DROP COLUMN expires_at,
    DROP CONSTRAINT kb_documents_state_check,
    ADD CONSTRAINT kb_documents_state_check CHECK (state IN ('ready', 'failed'));
DROP TABLE kb_contents;
