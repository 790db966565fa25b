/* The file of a text model: for those who write and check it. Numbers are of the machine's byte order, which
 * the file names; sections follow each other without gaps:
 *
 *     struct text_model_head
 *     labels      label_bytes: each ends with a NUL, zeroes up to a multiple of 16
 *     slots       slots times struct text_model_slot: open addressing by hash, linear probing
 *     features    features times struct text_model_feature
 *     bias        stride times float
 *     weights     features times stride times int8_t; times the feature's scale: its weight for each label
 */
#ifndef HELPDESK_MODEL_TEXT_MODEL_FILE_H
#define HELPDESK_MODEL_TEXT_MODEL_FILE_H

#include <stddef.h>
#include <stdint.h>
#include "model/text_model.h"

#define TEXT_MODEL_MAGIC "hd-text1"
#define TEXT_MODEL_ORDER 0x01020304u
#define TEXT_MODEL_STRIDE 16 /* labels are padded to a multiple of it */

struct text_model_head {
    char magic[8];
    uint8_t hash[TEXT_MODEL_HASH_BYTES]; /* SHA-256 of all that follows it */
    uint32_t order;
    uint32_t labels;
    uint32_t label_bytes;
    uint32_t features;
    uint32_t slots; /* a power of two, at least twice the features */
    uint32_t stride;
    float calibration[3]; /* of 1, the best score, its lead */
    float threshold;
    float unseen_idf; /* of a feature that no example had: it lengthens the text's vector all the same */
    uint32_t zero;
};

struct text_model_slot {
    uint32_t hash;
    uint32_t feature; /* its index plus one; 0: empty */
};

struct text_model_feature {
    float idf;
    float scale;
};

/* Writes the hash into the head at `bytes`; `len` is at least a head's. */
void text_model_seal(void *bytes, size_t len);

/* ---- what training shares with guessing ---- */

struct ngram;
/* Each feature's value: its weight by `idf` (one for each), every block brought to a length of its own. */
void text_model_weigh(struct ngram *ngrams, const float *idf, size_t count);
/* The first and second best of `count` scores. */
void text_model_best(const float *scores, size_t count, struct text_guess *guess);

#endif
