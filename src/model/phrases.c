/* The frame of an answer in English and German. */
#include "model/phrases.h"

#include <stddef.h>
#include "model/language.h"

static const struct phrases all[] = {
    {
        .language = "en",
        .hello = "Hello",
        .thanks = "Thank you for your message.",
        .sorry = "I am sorry for the trouble you have had.",
        .from_base = "Here is what our help pages say about your question:",
        .from_case = "In a similar case this answer helped:",
        .order = "About your order",
        .more =
            "If this does not help, please reply to this message and a colleague will look at it with you.",
        .handover = "I have not found a reliable answer to your question in our help pages, so I am handing "
                    "your message to a "
                    "colleague who will look at it personally.",
        .rest = "You do not need to do anything else for now.",
        .ask = "I am handing your message to a colleague. To help them, please reply with what you did, what "
               "you expected, "
               "what happened instead, and any order number or error message you have.",
        .sign_off = "Kind regards\nYour support team",
    },
    {
        .language = "de",
        .hello = "Guten Tag",
        .thanks = "vielen Dank für Ihre Nachricht.",
        .sorry = "Die Unannehmlichkeiten tun mir leid.",
        .from_base = "Das steht in unseren Hilfeseiten zu Ihrer Frage:",
        .from_case = "In einem ähnlichen Fall hat diese Antwort geholfen:",
        .order = "Zu Ihrer Bestellung",
        .more = "Falls das nicht hilft, antworten Sie bitte auf diese Nachricht; dann sieht es sich eine "
                "Kollegin oder ein "
                "Kollege mit Ihnen an.",
        .handover = "In unseren Hilfeseiten habe ich keine verlässliche Antwort auf Ihre Frage gefunden, "
                    "deshalb gebe ich Ihre "
                    "Nachricht an eine Kollegin oder einen Kollegen weiter.",
        .rest = "Sie müssen vorerst nichts weiter tun.",
        .ask = "Ich gebe Ihre Nachricht an eine Kollegin oder einen Kollegen weiter. Zur Hilfe schreiben Sie "
               "uns bitte, was Sie "
               "getan und erwartet haben, was stattdessen passiert ist, und eine Bestellnummer oder "
               "Fehlermeldung, falls Sie eine haben.",
        .sign_off = "Mit freundlichen Grüßen\nIhr Support-Team",
    },
};

const struct phrases *phrases_for(const char *locale)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (language_same(locale, all[i].language)) {
            return &all[i];
        }
    }
    return &all[0];
}
