/* The fixed sentences of a drafted answer, in the languages we write: a courteous frame around what is
 * quoted. */
#ifndef HELPDESK_MODEL_PHRASES_H
#define HELPDESK_MODEL_PHRASES_H

struct phrases {
    const char *language;  /* "en" */
    const char *hello;     /* without a name, no comma */
    const char *thanks;    /* for the message */
    const char *sorry;     /* to somebody upset */
    const char *from_base; /* before quoted help pages */
    const char *from_case; /* before a similar case's answer */
    const char *order;     /* before an order's facts */
    const char *more;      /* what to do when it does not help */
    const char *handover;  /* no answer was found: a person takes over */
    const char *rest;      /* nothing else is to be done for now */
    const char *ask;       /* details that help the person who takes over */
    const char *sign_off;
};

/* Of the language of BCP 47 tag `locale`, or English. Never NULL. */
const struct phrases *phrases_for(const char *locale);

#endif
