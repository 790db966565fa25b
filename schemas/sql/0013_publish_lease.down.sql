DROP FUNCTION claim_run(text, text, text, text, text, text, int, interval);
DROP FUNCTION run_take_over;
ALTER TABLE runs DROP COLUMN publish_until;
