-- What the sources file says of a source, for those who are shown its passages: a JSON object of texts. kb-sync writes it
-- with each scan.
ALTER TABLE kb_scans ADD COLUMN metadata text NOT NULL DEFAULT '{}';
