-- A broker that kept nothing took what was under way with it: those runs have failed, and may be sent again.
CREATE FUNCTION fail_unfinished_runs() RETURNS bigint LANGUAGE sql AS $$
    WITH lost AS (
        UPDATE runs SET state = 'failed', finished_at = now() WHERE finished_at IS NULL
        RETURNING tenant, ticket_id, correlation_id, kind
    ), told AS (
        UPDATE tickets t SET state = 'failed', updated_at = now() FROM lost
        WHERE t.tenant = lost.tenant AND t.ticket_id = lost.ticket_id AND t.correlation_id = lost.correlation_id
    )
    SELECT count(*) FROM lost
$$;
