CREATE OR REPLACE FUNCTION claim_run(p_tenant text, p_ticket_id text, p_content_hash text, p_correlation_id text, p_event_id text,
    p_kind text, p_max_per_hour int,
    OUT outcome text, OUT correlation_id text, OUT event_id text, OUT published_at timestamptz, OUT state text,
    OUT stale boolean, OUT retry_after_s int)
LANGUAGE plpgsql AS $$
DECLARE
    run runs%ROWTYPE;
    moment timestamptz;
    oldest timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(p_tenant || '/' || p_ticket_id, 4517208815));
    moment := clock_timestamp(); -- after the wait for the lock
    stale := false;
    retry_after_s := 0;
    SELECT r.* INTO run FROM runs r WHERE r.tenant = p_tenant AND r.correlation_id = p_correlation_id;
    IF NOT FOUND AND p_kind = 'ticket' THEN
        SELECT r.* INTO run FROM runs r
        WHERE r.tenant = p_tenant AND r.ticket_id = p_ticket_id AND r.kind = 'ticket' AND p_content_hash <> ''
            AND r.content_hash = p_content_hash AND r.received_at > moment - interval '24 hours'
            AND r.state <> 'failed' -- who sends it again wants another try
        ORDER BY r.received_at DESC LIMIT 1;
    END IF;
    IF run.correlation_id IS NOT NULL THEN
        outcome := CASE WHEN run.correlation_id = p_correlation_id THEN 'claimed' ELSE 'joined' END;
        stale := outcome = 'joined' AND run.published_at IS NULL AND run.received_at < moment - interval '5 seconds';
    ELSE
        -- Free again when the oldest of the last `max_per_hour` runs is an hour old.
        SELECT r.received_at INTO oldest FROM runs r
        WHERE r.tenant = p_tenant AND r.ticket_id = p_ticket_id AND r.kind = 'ticket' AND p_kind = 'ticket'
            AND r.received_at > moment - interval '1 hour'
        ORDER BY r.received_at DESC OFFSET p_max_per_hour - 1 LIMIT 1;
        IF FOUND THEN
            outcome := 'limited';
            retry_after_s := ceil(extract(epoch FROM oldest + interval '1 hour' - moment))::int;
            RETURN;
        END IF;
        outcome := 'claimed';
        INSERT INTO runs (tenant, correlation_id, ticket_id, event_id, kind, content_hash, received_at)
        VALUES (p_tenant, p_correlation_id, p_ticket_id, p_event_id, p_kind, p_content_hash, moment)
        RETURNING * INTO run;
    END IF;
    correlation_id := run.correlation_id;
    event_id := run.event_id;
    published_at := run.published_at;
    state := run.state;
END $$;

DROP FUNCTION claim_run(text, text, text, text, text, text, int, interval);
DROP FUNCTION run_take_over;
ALTER TABLE runs DROP COLUMN publish_until;
