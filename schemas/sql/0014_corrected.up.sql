-- Which of category, priority, department and sentiment an agent has corrected, in which run of the ticket: an answer of it that
-- is logged later leaves them.
ALTER TABLE tickets ADD COLUMN corrected text[] NOT NULL DEFAULT '{}', ADD COLUMN corrected_run text;
