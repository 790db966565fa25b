DROP FUNCTION claim_run, locale_config, state_rank, retention_maintain, interactions_maintain, interactions_add_week;
DROP INDEX runs_by_age, tickets_by_age, feedback_by_age, customers_by_last_contact;

-- Without partitions there is no place for the rows: the table goes back to what it was, empty.
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'interactions'::regclass LOOP
        EXECUTE format('DROP TABLE %s', part);
    END LOOP;
END $$;
