DROP FUNCTION kb_marked(text, text[], text, text, text);
DROP FUNCTION kb_before_put(text, text, text, bigint, text, text, text, boolean);
DROP FUNCTION kb_unmarked(text, text, text, bigint);
DROP SEQUENCE kb_mark_numbers;
DROP TABLE kb_marks;
