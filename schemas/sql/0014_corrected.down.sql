ALTER TABLE tickets DROP COLUMN corrected;
