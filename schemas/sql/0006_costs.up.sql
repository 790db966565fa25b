-- What calls of models cost, and what those under way may still cost: the tenants' budgets. Per call, not per ticket: a
-- call that a crash makes happen again is paid again, and is here twice. The functions take the time as their last
-- argument; NULL is the clock. They commit without waiting for the disk: a crash of the server itself may forget the last
-- half second.

CREATE TABLE costs (
    tenant        text NOT NULL,
    day           date NOT NULL,             -- in UTC, the day on which the call began
    model         text NOT NULL,
    stage         text NOT NULL,
    calls         bigint NOT NULL DEFAULT 0, -- that were answered, or lost
    lost          bigint NOT NULL DEFAULT 0, -- of them: nobody saw what they used, they count as the most they can have used
    refused       bigint NOT NULL DEFAULT 0, -- not made, because the budget was used up
    input_tokens  bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    usd           numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, day, model, stage)
);
CREATE INDEX costs_by_day ON costs (day);

-- Calls under way, with the most that each can use. What is still here at `expires_at` was a process that died.
CREATE TABLE cost_holds (
    tenant        text NOT NULL,
    hold_id       text NOT NULL,
    day           date NOT NULL,
    model         text NOT NULL,
    stage         text NOT NULL,
    input_tokens  bigint NOT NULL,
    output_tokens bigint NOT NULL,
    usd           numeric NOT NULL,
    expires_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant, hold_id)
);
CREATE INDEX cost_holds_by_day ON cost_holds (tenant, day);

CREATE FUNCTION cost_add(p_tenant text, p_day date, p_model text, p_stage text, p_calls int, p_lost int, p_refused int,
    p_input_tokens bigint, p_output_tokens bigint, p_usd numeric) RETURNS void LANGUAGE sql AS $$
    INSERT INTO costs AS c (tenant, day, model, stage, calls, lost, refused, input_tokens, output_tokens, usd)
    VALUES (p_tenant, p_day, p_model, p_stage, p_calls, p_lost, p_refused, p_input_tokens, p_output_tokens, p_usd)
    ON CONFLICT (tenant, day, model, stage) DO UPDATE SET calls = c.calls + excluded.calls, lost = c.lost + excluded.lost,
        refused = c.refused + excluded.refused, input_tokens = c.input_tokens + excluded.input_tokens,
        output_tokens = c.output_tokens + excluded.output_tokens, usd = c.usd + excluded.usd
$$;

-- What a tenant has spent on a day, and what its calls under way may still take.
CREATE FUNCTION cost_day(p_tenant text, p_day date, OUT spent_usd numeric, OUT spent_tokens bigint, OUT held_usd numeric,
    OUT held_tokens bigint) LANGUAGE sql STABLE AS $$
    SELECT coalesce(s.usd, 0), coalesce(s.tokens, 0)::bigint, coalesce(h.usd, 0), coalesce(h.tokens, 0)::bigint
    FROM (SELECT sum(c.usd) AS usd, sum(c.input_tokens + c.output_tokens) AS tokens FROM costs c
          WHERE c.tenant = p_tenant AND c.day = p_day) s,
         (SELECT sum(o.usd) AS usd, sum(o.input_tokens + o.output_tokens) AS tokens FROM cost_holds o
          WHERE o.tenant = p_tenant AND o.day = p_day) h
$$;

-- Calls whose process died count as the most they can have used: they may have been answered, and paid.
CREATE FUNCTION cost_expire(p_tenant text, p_now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    gone cost_holds%ROWTYPE;
BEGIN
    FOR gone IN DELETE FROM cost_holds o WHERE o.tenant = p_tenant AND o.expires_at <= p_now RETURNING * LOOP
        PERFORM cost_add(gone.tenant, gone.day, gone.model, gone.stage, 1, 1, 0, gone.input_tokens, gone.output_tokens, gone.usd);
    END LOOP;
END $$;

-- Reserves the most that a call can use, for `p_keep`; of one tenant one at a time, so that all together stay within the
-- limits of the day. A limit on tokens of 0 is none; a call that costs nothing needs no money. `outcome` is
--   'held'     go on, and cost_settle at the end
--   'wait'     only with p_patient: what is missing is reserved by calls under way, which may use less
--   'used_up'  counted as refused
CREATE FUNCTION cost_hold(p_tenant text, p_hold_id text, p_model text, p_stage text, p_input_tokens bigint,
    p_output_tokens bigint, p_usd numeric, p_usd_limit numeric, p_tokens_limit bigint, p_patient boolean, p_keep interval,
    p_now timestamptz, OUT outcome text, OUT on_day date, OUT spent_usd numeric, OUT spent_tokens bigint,
    OUT held_usd numeric, OUT held_tokens bigint) LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
    wanted bigint := p_input_tokens + p_output_tokens;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('costs/' || p_tenant, 4517208816));
    moment := coalesce(p_now, clock_timestamp()); -- after the wait for the lock
    on_day := (moment AT TIME ZONE 'UTC')::date;
    PERFORM cost_expire(p_tenant, moment);
    SELECT d.* INTO spent_usd, spent_tokens, held_usd, held_tokens FROM cost_day(p_tenant, on_day) d;
    IF (p_usd = 0 OR spent_usd + held_usd + p_usd <= p_usd_limit)
        AND (p_tokens_limit = 0 OR spent_tokens + held_tokens + wanted <= p_tokens_limit) THEN
        outcome := 'held';
        INSERT INTO cost_holds (tenant, hold_id, day, model, stage, input_tokens, output_tokens, usd, expires_at)
        VALUES (p_tenant, p_hold_id, on_day, p_model, p_stage, p_input_tokens, p_output_tokens, p_usd, moment + p_keep);
        held_usd := held_usd + p_usd;
        held_tokens := held_tokens + wanted;
    ELSIF p_patient AND (p_usd = 0 OR spent_usd + p_usd <= p_usd_limit)
        AND (p_tokens_limit = 0 OR spent_tokens + wanted <= p_tokens_limit) THEN
        outcome := 'wait';
    ELSE
        outcome := 'used_up';
        PERFORM cost_add(p_tenant, on_day, p_model, p_stage, 0, 0, 1, 0, 0, 0);
    END IF;
END $$;

-- What a call did use takes the place of its reservation, on the day of that. `p_outcome` is 'answered'; 'released' (it was
-- not made, or refused: nothing is spent); 'lost' (nobody saw what it used). A reservation that is not there was settled or
-- expired before: nothing happens. Without one (p_hold_id NULL) the call is only recorded.
CREATE FUNCTION cost_settle(p_tenant text, p_hold_id text, p_model text, p_stage text, p_outcome text, p_input_tokens bigint,
    p_output_tokens bigint, p_usd numeric, p_now timestamptz, OUT on_day date, OUT spent_usd numeric, OUT spent_tokens bigint,
    OUT held_usd numeric, OUT held_tokens bigint) LANGUAGE plpgsql AS $$
DECLARE
    hold cost_holds%ROWTYPE;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    on_day := (coalesce(p_now, clock_timestamp()) AT TIME ZONE 'UTC')::date;
    DELETE FROM cost_holds o WHERE o.tenant = p_tenant AND o.hold_id = p_hold_id RETURNING * INTO hold;
    IF p_hold_id IS NULL OR (FOUND AND p_outcome = 'answered') THEN
        PERFORM cost_add(p_tenant, coalesce(hold.day, on_day), p_model, p_stage, 1, 0, 0, p_input_tokens, p_output_tokens, p_usd);
    ELSIF FOUND AND p_outcome = 'lost' THEN
        PERFORM cost_add(p_tenant, hold.day, hold.model, hold.stage, 1, 1, 0, hold.input_tokens, hold.output_tokens, hold.usd);
    END IF;
    SELECT d.* INTO spent_usd, spent_tokens, held_usd, held_tokens FROM cost_day(p_tenant, on_day) d;
END $$;
