-- What became of each document, change by change; the newest 100 of each are kept.
CREATE TABLE kb_history (
    tenant      text NOT NULL,
    source      text NOT NULL,
    object_key  text NOT NULL,
    revision    bigint NOT NULL, -- of the base, with this change
    changed_at  timestamptz NOT NULL DEFAULT now(),
    kind        text NOT NULL CHECK (kind IN ('put', 'failed', 'removed')),
    title       text NOT NULL,
    etag        text NOT NULL,
    fingerprint text NOT NULL,
    size        bigint NOT NULL,
    why         text NOT NULL, -- of a failure
    PRIMARY KEY (tenant, source, object_key, revision)
);
CREATE INDEX kb_history_newest ON kb_history (tenant, revision DESC);

INSERT INTO kb_history (tenant, source, object_key, revision, changed_at, kind, title, etag, fingerprint, size, why)
SELECT tenant, source, object_key, revision, synced_at, CASE state WHEN 'ready' THEN 'put' ELSE 'failed' END, title, etag,
    fingerprint, size, why
FROM kb_documents;

-- A trigger, so that no way of changing a document leaves the history out. Changes of a tenant's base come one after the
-- other (kb_lock): a removed document's revision is the newest.
CREATE FUNCTION kb_remember() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE TRIGGER kb_remember_put AFTER INSERT OR DELETE ON kb_documents FOR EACH ROW EXECUTE FUNCTION kb_remember();
CREATE TRIGGER kb_remember_change AFTER UPDATE ON kb_documents FOR EACH ROW
    WHEN (OLD.revision IS DISTINCT FROM NEW.revision) EXECUTE FUNCTION kb_remember();
