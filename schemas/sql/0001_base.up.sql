-- The database of helpdesk. The tenant is the first column of every primary key.

CREATE TABLE customers (
    tenant         text NOT NULL,
    external_id    text NOT NULL,
    customer_id    text NOT NULL,
    name           text NOT NULL,
    email          text NOT NULL,
    company        text,
    tier           text NOT NULL DEFAULT 'standard' CHECK (tier IN ('standard', 'premium', 'enterprise')),
    lifetime_value double precision NOT NULL DEFAULT 0,
    avg_sentiment  double precision NOT NULL DEFAULT 0 CHECK (avg_sentiment BETWEEN -1 AND 1), -- as imported; tickets with a sentiment win
    last_contact   timestamptz,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, external_id)
);

CREATE TABLE orders (
    tenant               text NOT NULL,
    order_id             text NOT NULL,
    customer_external_id text NOT NULL,
    status               text NOT NULL,
    total                double precision NOT NULL,
    currency             text NOT NULL DEFAULT 'USD',
    ordered_at           timestamptz NOT NULL,
    summary              text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, order_id)
);
CREATE INDEX orders_by_customer ON orders (tenant, customer_external_id, ordered_at DESC);

-- One row a ticket: what it is now.
CREATE TABLE tickets (
    tenant               text NOT NULL,
    ticket_id            text NOT NULL,
    external_ticket_id   text,
    customer_external_id text NOT NULL,
    subject              text NOT NULL,
    description          text NOT NULL,
    channel              text NOT NULL,
    locale               text NOT NULL DEFAULT '',
    metadata             text NOT NULL DEFAULT '{}', -- byte for byte
    status               text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'pending', 'resolved', 'closed')),
    state                text NOT NULL DEFAULT 'accepted',
    category             text,
    priority             text,
    department           text,
    sentiment            text,
    correlation_id       text, -- the newest run
    created_at           timestamptz NOT NULL,
    received_at          timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, ticket_id)
);
CREATE INDEX tickets_by_customer ON tickets (tenant, customer_external_id, received_at DESC);

-- One row a run: one way of one record (a ticket or a question) through the pipeline.
CREATE TABLE runs (
    tenant         text NOT NULL,
    correlation_id text NOT NULL,
    ticket_id      text NOT NULL,
    event_id       text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('ticket', 'question')),
    content_hash   text NOT NULL DEFAULT '', -- of the ticket as published; '' when the gateway did not see it
    state          text NOT NULL DEFAULT 'accepted',
    received_at    timestamptz NOT NULL,
    published_at   timestamptz,          -- when the broker acknowledged it to the gateway
    finished_at    timestamptz,
    result         jsonb,                -- the whole finished TicketEvent
    PRIMARY KEY (tenant, correlation_id)
);
CREATE INDEX runs_by_ticket ON runs (tenant, ticket_id, received_at DESC);

-- Everything that happened, once per event; retention drops partitions.
CREATE TABLE interactions (
    tenant         text NOT NULL,
    event_id       text NOT NULL, -- UUIDv5 of the parent event and the step: an event that comes twice is the same row
    received_at    timestamptz NOT NULL,
    correlation_id text NOT NULL,
    ticket_id      text NOT NULL,
    kind           text NOT NULL, -- submitted, classified, enriched, answered, feedback, dead_letter
    state          text NOT NULL DEFAULT '',
    at             timestamptz NOT NULL,
    payload        jsonb NOT NULL,
    PRIMARY KEY (tenant, event_id, received_at)
) PARTITION BY RANGE (received_at);
CREATE INDEX interactions_by_ticket ON interactions (tenant, ticket_id, received_at);

CREATE TABLE feedback (
    tenant               text NOT NULL,
    feedback_id          text NOT NULL,
    ticket_id            text NOT NULL,
    received_at          timestamptz NOT NULL,
    rating               int,
    draft                text,
    outcome              text,
    ticket_status        text,
    corrected_category   text,
    corrected_priority   text,
    corrected_department text,
    corrected_sentiment  text,
    csat                 int,
    final_text           text,
    comment              text,
    agent                text,
    PRIMARY KEY (tenant, feedback_id)
);
CREATE INDEX feedback_by_ticket ON feedback (tenant, ticket_id, received_at);

-- Accepted final answers, redacted: the only past tickets that may be cited.
CREATE TABLE resolutions (
    tenant      text NOT NULL,
    ticket_id   text NOT NULL,
    subject     text NOT NULL,
    problem     text NOT NULL,
    answer      text NOT NULL,
    category    text NOT NULL DEFAULT '',
    locale      text NOT NULL DEFAULT '',
    config      regconfig NOT NULL DEFAULT 'simple',
    accepted_at timestamptz NOT NULL,
    tsv         tsvector NOT NULL,
    PRIMARY KEY (tenant, ticket_id)
);
CREATE INDEX resolutions_tsv ON resolutions USING gin (tsv);

-- Knowledge base: documents of sources, cut into passages.
CREATE TABLE kb_documents (
    tenant      text NOT NULL,
    source      text NOT NULL,
    object_key  text NOT NULL,
    title       text NOT NULL DEFAULT '',
    uri         text NOT NULL DEFAULT '', -- what a citation opens
    locale      text NOT NULL DEFAULT '',
    fingerprint text NOT NULL,            -- SHA-256 of the content and of what cuts it
    size        bigint NOT NULL,
    modified_at timestamptz,
    state       text NOT NULL CHECK (state IN ('ready', 'failed')),
    why         text NOT NULL DEFAULT '', -- of a failure
    revision    bigint NOT NULL,
    synced_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, source, object_key)
);

CREATE TABLE kb_passages (
    tenant       text NOT NULL,
    source       text NOT NULL,
    object_key   text NOT NULL,
    ordinal      int NOT NULL,
    heading_path text NOT NULL DEFAULT '', -- "Billing > Refunds"
    anchor       text NOT NULL DEFAULT '', -- fragment of the heading
    text         text NOT NULL,
    config       regconfig NOT NULL,
    tsv          tsvector NOT NULL,
    PRIMARY KEY (tenant, source, object_key, ordinal),
    FOREIGN KEY (tenant, source, object_key) REFERENCES kb_documents ON DELETE CASCADE
);
CREATE INDEX kb_passages_tsv ON kb_passages USING gin (tsv);

-- Counts every change of a tenant's base; NOTIFY kb_revision carries "tenant revision".
CREATE TABLE kb_revisions (
    tenant   text PRIMARY KEY,
    revision bigint NOT NULL
);

CREATE TABLE kb_jobs (
    tenant      text NOT NULL,
    job_id      text NOT NULL,
    source      text NOT NULL DEFAULT '',
    full_read   boolean NOT NULL DEFAULT false,
    state       text NOT NULL DEFAULT 'started' CHECK (state IN ('started', 'running', 'done', 'failed')),
    found       int NOT NULL DEFAULT 0,
    read        int NOT NULL DEFAULT 0,
    changed     int NOT NULL DEFAULT 0,
    failed      int NOT NULL DEFAULT 0,
    removed     int NOT NULL DEFAULT 0,
    why         text NOT NULL DEFAULT '',
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (tenant, job_id)
);

-- How fast which ticket must be answered; tier '' is everyone.
CREATE TABLE sla_rules (
    tenant             text NOT NULL,
    priority           text NOT NULL CHECK (priority IN ('critical', 'high', 'medium', 'low')),
    tier               text NOT NULL DEFAULT '',
    response_minutes   int NOT NULL,
    resolution_minutes int NOT NULL,
    note               text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, priority, tier)
);
INSERT INTO sla_rules (tenant, priority, response_minutes, resolution_minutes) VALUES
    ('default', 'critical', 60, 240),
    ('default', 'high', 240, 1440),
    ('default', 'medium', 1440, 2880),
    ('default', 'low', 2880, 7200);
