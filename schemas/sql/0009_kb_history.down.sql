DROP TRIGGER kb_remember_change ON kb_documents;
DROP TRIGGER kb_remember_put ON kb_documents;
DROP FUNCTION kb_remember();
DROP TABLE kb_history;
