-- Which of category, priority, department and sentiment an agent has corrected: an answer that is logged later leaves them.
ALTER TABLE tickets ADD COLUMN corrected text[] NOT NULL DEFAULT '{}';
