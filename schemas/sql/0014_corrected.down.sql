ALTER TABLE tickets DROP COLUMN corrected, DROP COLUMN corrected_run;
