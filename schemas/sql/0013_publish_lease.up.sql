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

-- Claims a run as the function of this name without a lease does, which is that of gateways of the version before: they
-- publish what is claimed after 5 s, whoever has the lease. `lease` is until when the caller may publish the run: one that it
-- claimed, or joined and took over; NULL: it may not.
CREATE FUNCTION claim_run(p_tenant text, p_ticket_id text, p_content_hash text, p_correlation_id text, p_event_id text,
    p_kind text, p_max_per_hour int, p_lease interval,
    OUT outcome text, OUT correlation_id text, OUT event_id text, OUT published_at timestamptz, OUT state text,
    OUT lease timestamptz, OUT retry_after_s int)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT c.outcome, c.correlation_id, c.event_id, c.published_at, c.state, c.retry_after_s
    INTO outcome, correlation_id, event_id, published_at, state, retry_after_s
    FROM claim_run(p_tenant, p_ticket_id, p_content_hash, p_correlation_id, p_event_id, p_kind, p_max_per_hour) c;
    IF outcome = 'claimed' THEN
        UPDATE runs r SET publish_until = clock_timestamp() + p_lease
        WHERE r.tenant = p_tenant AND r.correlation_id = p_correlation_id RETURNING r.publish_until INTO lease;
    ELSIF outcome = 'joined' THEN
        lease := run_take_over(p_tenant, correlation_id, p_lease);
    END IF;
END $$;
