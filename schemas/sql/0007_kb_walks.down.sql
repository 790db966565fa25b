DROP INDEX kb_documents_walk;
