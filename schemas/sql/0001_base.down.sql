DROP TABLE sla_rules, kb_jobs, kb_revisions, kb_passages, kb_documents, resolutions, feedback, interactions, runs, tickets, orders, customers;
