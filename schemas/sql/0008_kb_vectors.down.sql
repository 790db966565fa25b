DROP TABLE kb_vectors, kb_vector_bases;
DROP FUNCTION kb_vectors_claim, kb_vectors_put, kb_vectors_done, kb_vectors_prune, kb_next_vectors;
DROP TRIGGER kb_passages_hash ON kb_passages;
DROP FUNCTION kb_hash_passage, kb_text_hash, kb_embedded_text;
ALTER TABLE kb_passages DROP COLUMN text_hash;
