-- Partitions of the interactions, retention, and the claim of a run.

-- Takes what no weekly partition takes: times long ago or far ahead.
CREATE TABLE interactions_default PARTITION OF interactions DEFAULT;

-- Makes the partition of the week that starts at `week` (a Monday, UTC), and moves rows of that week into it that came
-- before it was there. False: it is there already.
CREATE FUNCTION interactions_add_week(week timestamptz) RETURNS boolean
LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    part text := 'interactions_' || to_char(week AT TIME ZONE 'UTC', 'YYYYMMDD');
    week_end timestamptz := week + interval '7 days';
BEGIN
    IF to_regclass(part) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- No row of this week may reach the default partition between the move and the attachment.
    LOCK TABLE interactions IN SHARE ROW EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE %I (LIKE interactions INCLUDING ALL)', part);
    EXECUTE format('WITH moved AS (DELETE FROM interactions_default WHERE received_at >= %L AND received_at < %L RETURNING *)
        INSERT INTO %I SELECT * FROM moved', week, week_end, part);
    EXECUTE format('ALTER TABLE interactions ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, week, week_end);
    RETURN true;
END $$;

-- Weekly partitions from last week to three weeks ahead; those that ended before `keep` ago are dropped, and so are the
-- rows of the default partition that are further than `keep` from now, on either side. Tells how much it did.
CREATE FUNCTION interactions_maintain(keep interval, OUT created int, OUT dropped int, OUT deleted bigint)
LANGUAGE plpgsql SET timezone = 'UTC' SET lock_timeout = '5s' AS $$
DECLARE
    monday timestamptz := date_trunc('week', now(), 'UTC');
    first_kept timestamptz := now() - keep;
    part text;
BEGIN
    created := 0;
    dropped := 0;
    FOR i IN -1..3 LOOP
        CONTINUE WHEN monday + (i + 1) * interval '7 days' <= first_kept;
        IF interactions_add_week(monday + i * interval '7 days') THEN
            created := created + 1;
        END IF;
    END LOOP;
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'interactions'::regclass AND c.relname ~ '^interactions_[0-9]{8}$'
            AND to_timestamp(right(c.relname, 8) || ' 00:00:00+00', 'YYYYMMDD HH24:MI:SSTZH') + interval '7 days' <= first_kept
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', part);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM interactions_default WHERE received_at < first_kept OR received_at > now() + keep;
    GET DIAGNOSTICS deleted = ROW_COUNT;
END $$;

-- Everything that retention does, at most `most` rows a table at once; by one caller at a time (the others return NULL).
-- Returns the number of rows deleted: as long as it reaches `most`, there is more to do.
CREATE FUNCTION retention_maintain(keep_log interval, keep_tickets interval, most int) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    total bigint := 0;
    n bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(4517208814) THEN
        RETURN NULL;
    END IF;
    DELETE FROM runs WHERE ctid = ANY (ARRAY(SELECT ctid FROM runs WHERE received_at < now() - keep_log LIMIT most));
    GET DIAGNOSTICS n = ROW_COUNT;
    total := greatest(total, n);
    DELETE FROM tickets WHERE ctid = ANY (ARRAY(SELECT ctid FROM tickets WHERE received_at < now() - keep_tickets LIMIT most));
    GET DIAGNOSTICS n = ROW_COUNT;
    total := greatest(total, n);
    DELETE FROM feedback WHERE ctid = ANY (ARRAY(SELECT ctid FROM feedback WHERE received_at < now() - keep_tickets LIMIT most));
    GET DIAGNOSTICS n = ROW_COUNT;
    total := greatest(total, n);
    UPDATE customers SET last_contact = NULL
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM customers WHERE last_contact < now() - keep_tickets LIMIT most));
    GET DIAGNOSTICS n = ROW_COUNT;
    PERFORM interactions_maintain(keep_log); -- last: its locks are held to the end
    RETURN greatest(total, n);
END $$;
CREATE INDEX runs_by_age ON runs (received_at);
CREATE INDEX tickets_by_age ON tickets (received_at);
CREATE INDEX feedback_by_age ON feedback (received_at);
CREATE INDEX customers_by_last_contact ON customers (last_contact);

-- How far a state is: a run never goes back. A run that failed may still be completed (its dead letter was replayed).
CREATE FUNCTION state_rank(state text) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE state WHEN 'accepted' THEN 0 WHEN 'classified' THEN 1 WHEN 'enriched' THEN 2 WHEN 'failed' THEN 3 ELSE 4 END
$$;

-- The text search configuration of a locale (BCP 47).
CREATE FUNCTION locale_config(locale text) RETURNS regconfig LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE lower(left(locale, 2)) WHEN 'en' THEN 'english' WHEN 'de' THEN 'german' ELSE 'simple' END::regconfig
$$;

-- Claims a run for a ticket that came in. `outcome` is
--   'joined'   the same content came within a day: that run's ids; `stale` when nobody published it for 5 s, so that the
--              caller publishes it again with these ids
--   'limited'  the ticket had `max_per_hour` runs within an hour: `retry_after_s` tells when the next is free
--   'claimed'  a new row with the given ids; the same for a claim that is repeated because its answer was lost
-- Questions are neither joined nor limited.
CREATE FUNCTION claim_run(p_tenant text, p_ticket_id text, p_content_hash text, p_correlation_id text, p_event_id text,
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
