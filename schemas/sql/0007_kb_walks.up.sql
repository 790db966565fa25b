-- Sources of any size: walked page by page, in byte order of the keys whatever the database's collation is.
CREATE INDEX kb_documents_walk ON kb_documents (tenant, source, object_key COLLATE "C");
