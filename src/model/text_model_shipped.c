/* The model trained when the program is built: the file's bytes as they are. */
#include "model/classify_local.h"

__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        ".global text_model_shipped, text_model_shipped_end\n"
        "text_model_shipped:\n"
        ".incbin \"" TEXT_MODEL_SHIPPED "\"\n"
        "text_model_shipped_end:\n"
        ".popsection\n");
