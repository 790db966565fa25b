ALTER TABLE kb_scans DROP COLUMN metadata;
