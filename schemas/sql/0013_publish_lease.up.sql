-- Who claims a run has until `publish_until` to publish it: as long as its producer may still try. Nobody else publishes it
-- before, and then one only.
ALTER TABLE runs ADD COLUMN publish_until timestamptz; -- NULL: claimed before this was

-- Takes over a run that was claimed and, as far as anybody knows, not published: until when the caller may publish it, with
-- its ids; NULL: it may not.
CREATE FUNCTION run_take_over(p_tenant text, p_correlation_id text, p_lease interval) RETURNS timestamptz LANGUAGE sql AS $$
    UPDATE runs SET publish_until = clock_timestamp() + p_lease
    WHERE tenant = p_tenant AND correlation_id = p_correlation_id AND published_at IS NULL AND state = 'accepted'
        AND coalesce(publish_until, received_at + p_lease) < clock_timestamp()
    RETURNING publish_until
$$;

-- Claims a run for a ticket that came in. `outcome` is
--   'joined'   the same content came within a day: that run's ids; with a `lease` the caller has taken it over
--   'limited'  the ticket had `max_per_hour` runs within an hour: `retry_after_s` tells when the next is free
--   'claimed'  a new row with the given ids; the same for a claim that is repeated because its answer was lost
-- `lease` is until when the caller may publish it. Questions are neither joined nor limited.
CREATE FUNCTION claim_run(p_tenant text, p_ticket_id text, p_content_hash text, p_correlation_id text, p_event_id text,
    p_kind text, p_max_per_hour int, p_lease interval,
    OUT outcome text, OUT correlation_id text, OUT event_id text, OUT published_at timestamptz, OUT state text,
    OUT lease timestamptz, OUT retry_after_s int)
LANGUAGE plpgsql AS $$
DECLARE
    run runs%ROWTYPE;
    moment timestamptz;
    oldest timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(p_tenant || '/' || p_ticket_id, 4517208815));
    moment := clock_timestamp(); -- after the wait for the lock
    retry_after_s := 0;
    SELECT r.* INTO run FROM runs r WHERE r.tenant = p_tenant AND r.correlation_id = p_correlation_id;
    IF NOT FOUND AND p_kind = 'ticket' THEN
        SELECT r.* INTO run FROM runs r
        WHERE r.tenant = p_tenant AND r.ticket_id = p_ticket_id AND r.kind = 'ticket' AND p_content_hash <> ''
            AND r.content_hash = p_content_hash AND r.received_at > moment - interval '24 hours'
            AND r.state <> 'failed' -- who sends it again wants another try
        ORDER BY r.received_at DESC LIMIT 1;
    END IF;
    IF run.correlation_id = p_correlation_id THEN
        outcome := 'claimed';
        lease := moment + p_lease;
        UPDATE runs r SET publish_until = lease WHERE r.tenant = p_tenant AND r.correlation_id = p_correlation_id;
    ELSIF run.correlation_id IS NOT NULL THEN
        outcome := 'joined';
        lease := run_take_over(p_tenant, run.correlation_id, p_lease);
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
        lease := moment + p_lease;
        INSERT INTO runs (tenant, correlation_id, ticket_id, event_id, kind, content_hash, received_at, publish_until)
        VALUES (p_tenant, p_correlation_id, p_ticket_id, p_event_id, p_kind, p_content_hash, moment, lease)
        RETURNING * INTO run;
    END IF;
    correlation_id := run.correlation_id;
    event_id := run.event_id;
    published_at := run.published_at;
    state := run.state;
END $$;

-- Of gateways of the version before, while they run beside newer ones. When they wait for an answer they publish what others
-- have claimed after 5 s as they did.
CREATE OR REPLACE FUNCTION claim_run(p_tenant text, p_ticket_id text, p_content_hash text, p_correlation_id text,
    p_event_id text, p_kind text, p_max_per_hour int,
    OUT outcome text, OUT correlation_id text, OUT event_id text, OUT published_at timestamptz, OUT state text,
    OUT stale boolean, OUT retry_after_s int)
LANGUAGE sql AS $$
    SELECT c.outcome, c.correlation_id, c.event_id, c.published_at, c.state, c.outcome = 'joined' AND c.lease IS NOT NULL,
        c.retry_after_s
    FROM claim_run(p_tenant, p_ticket_id, p_content_hash, p_correlation_id, p_event_id, p_kind, p_max_per_hour,
        interval '20 seconds') c
$$;
