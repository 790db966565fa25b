-- Idempotency-Key headers: what was asked under a key, and what it led to.
CREATE TABLE idempotency_keys (
    tenant     text NOT NULL,
    route      text NOT NULL, -- "POST /tickets": a key counts for one route
    key        text NOT NULL,
    body_hash  text NOT NULL, -- SHA-256 of the body's bytes
    thing_id   text NOT NULL, -- the ticket, the feedback or the job
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, route, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
