-- What became of a document that its row's revision does not tell, for those who read the object before: it was removed (or
-- found to be gone while the base did not have it), or was found to say the same in another version. Whoever has read the
-- object earlier must read it again. Marks are of use while a reading takes: they go after an hour.
CREATE TABLE kb_marks (
    tenant     text NOT NULL,
    source     text NOT NULL,
    object_key text NOT NULL,
    number     bigint NOT NULL,
    marked_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, source, object_key)
);
CREATE INDEX kb_marks_by_age ON kb_marks (marked_at);

CREATE SEQUENCE kb_mark_numbers;
SELECT nextval('kb_mark_numbers'); -- its last_value is the number of the newest mark from here on

-- Whether nobody has marked the document since mark `p_mark` was the newest; changes of the base take turns from here to the
-- end of the transaction.
CREATE FUNCTION kb_unmarked(p_tenant text, p_source text, p_key text, p_mark bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM kb_lock(p_tenant);
    RETURN NOT EXISTS (SELECT 1 FROM kb_marks
        WHERE (tenant, source, object_key) = (p_tenant, p_source, p_key) AND number > p_mark);
END $$;

-- What is to become of a document that was read: "unchanged" when the base says that already, whoever brought it there (and
-- has its bytes, if they are to be kept); "conflict" when it must be read again; else "put".
CREATE FUNCTION kb_before_put(p_tenant text, p_source text, p_key text, p_mark bigint, p_etag text, p_fingerprint text,
    p_state text, p_keep boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM kb_lock(p_tenant);
    PERFORM 1 FROM kb_documents WHERE (tenant, source, object_key) = (p_tenant, p_source, p_key)
        AND (etag, fingerprint, state) = ('', p_fingerprint, 'failed') AND (p_etag, p_state) = ('', 'failed');
    IF FOUND THEN -- it fails as it did: since when stays
        RETURN 'unchanged';
    END IF;
    UPDATE kb_documents SET synced_at = now()
    WHERE (tenant, source, object_key) = (p_tenant, p_source, p_key)
        AND (etag, fingerprint, state) = (p_etag, p_fingerprint, p_state) AND etag <> ''
        AND (content IS NOT NULL OR NOT p_keep);
    RETURN CASE WHEN FOUND THEN 'unchanged'
        WHEN kb_unmarked(p_tenant, p_source, p_key, p_mark) THEN 'put' ELSE 'conflict' END;
END $$;

-- Marks the document when what was done with it is one of `p_marks`; returns what was done.
CREATE FUNCTION kb_marked(p_done text, p_marks text[], p_tenant text, p_source text, p_key text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    IF p_done = ANY (p_marks) THEN
        INSERT INTO kb_marks (tenant, source, object_key, number)
        VALUES (p_tenant, p_source, p_key, nextval('kb_mark_numbers'))
        ON CONFLICT (tenant, source, object_key) DO UPDATE SET number = EXCLUDED.number, marked_at = now();
        DELETE FROM kb_marks WHERE (tenant, source, object_key) IN (SELECT tenant, source, object_key FROM kb_marks
            WHERE marked_at < now() - interval '1 hour' ORDER BY marked_at LIMIT 10 FOR UPDATE SKIP LOCKED);
    END IF;
    RETURN p_done;
END $$;
