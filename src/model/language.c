/* Detects the language of a text by stop words, by letters only one language has, and by script. */
#include "model/language.h"

#include <string.h>
#include <strings.h>
#include "base/utf8.h"

#define LANGUAGE_MAX_WORDS 400
#define LANGUAGE_MAX_BYTES 4096
#define LANGUAGES (sizeof languages / sizeof languages[0])

struct language {
    const char *code;
    const char *name;
    const char *words;   /* the commonest, each between blanks */
    const char *letters; /* letters that speak for it, each between blanks */
};

static const struct language languages[] = {
    {"en", "English",
        " the and is are was were have has had not you your my our this that with from for what when where "
        "how why can "
        "could would should been but there they it i of to in on please cannot after which who me we does "
        "did be will an "
        "a at thank hello do any about into ",
        ""},
    {"de", "German",
        " der die das und ist sind war nicht ich sie wir mein meine mit von für auf ein eine einen einem "
        "einer dem den "
        "des zu bei wie was wann wo warum kann können habe haben hat noch auch aber nach seit wenn bitte "
        "ihre ihr mir "
        "mich es im zum zur vom keine kein wird werden oder schon hallo guten danke nur über ",
        " ä ö ü ß "},
    {"fr", "French",
        " le la les un une des du et est sont je vous nous mon ma mes votre pas ne que qui dans pour sur "
        "avec plus ce "
        "cette il elle au aux mais ou où depuis bonjour merci ai avez été être à en de comment pourquoi "
        "quand j c qu n "
        "l d s m se si suis a ",
        " ç è ê œ à û î "},
    {"es", "Spanish",
        " el la los las un una y es son yo mi mis su no que en de del por para con más pero como cuando "
        "donde está "
        "estoy he ha hola gracias puedo puede desde se lo me al muy también este esta porque qué cómo si "
        "tengo ",
        " ñ ¿ ¡ á ó "},
    {"it", "Italian",
        " il lo la gli le un una e è sono io mio mia non che di del della dei in per con più ma come quando "
        "dove ho ha "
        "ciao grazie posso può da si mi al alla anche questo questa perché buongiorno nel nella ancora stato "
        "i ",
        " è ò ù ì "},
    {"nl", "Dutch",
        " de het een en is zijn ik u je jullie wij mijn niet dat van voor met op aan in te bij hoe wat "
        "wanneer waar "
        "waarom kan kunnen heb heeft hebben nog ook maar na als er deze dit naar hallo bedankt geen wordt "
        "worden om ",
        ""},
    {"pt", "Portuguese",
        " o a os as um uma e é são eu meu minha seu sua não que em de do da dos das no na por para com mais "
        "mas como "
        "quando onde está estou tenho tem olá obrigado obrigada posso pode desde se ao muito também este "
        "esta porque "
        "você já foi ",
        " ã õ ç "},
};

struct script {
    const char *code;
    const char *name;
    unsigned first;
    unsigned last;
};

/* Kana before Han: Japanese has both. */
static const struct script scripts[] = {{"ja", "Japanese", 0x3040, 0x30FF}, {"ko", "Korean", 0xAC00, 0xD7AF},
    {"zh", "Chinese", 0x4E00, 0x9FFF}, {"el", "Greek", 0x370, 0x3FF}, {"ru", "Russian", 0x400, 0x4FF},
    {"he", "Hebrew", 0x590, 0x5FF}, {"ar", "Arabic", 0x600, 0x6FF}, {"th", "Thai", 0xE00, 0xE7F}};
#define SCRIPTS (sizeof scripts / sizeof scripts[0])

/* Decodes the character at `p` (valid UTF-8) and moves past it. */
static unsigned next_code(const unsigned char **p)
{
    unsigned char lead = **p;
    int more = lead < 0xC0 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    unsigned code = more == 0 ? lead : lead & (0x3Fu >> more);
    for ((*p)++; more > 0 && **p != 0; more--, (*p)++) {
        code = code << 6 | (**p & 0x3Fu);
    }
    return code;
}

/* The language of a text that is mostly not in Latin letters, or NULL. */
static const char *detect_script(const char *text)
{
    size_t seen[SCRIPTS] = {0};
    size_t latin = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p != 0;) {
        unsigned code = next_code(&p);
        latin += (code | 0x20) - 'a' < 26 || (code >= 0xC0 && code < 0x250);
        for (size_t i = 0; i < SCRIPTS && code >= 0x370; i++) {
            seen[i] += code >= scripts[i].first && code <= scripts[i].last;
        }
    }
    if (seen[0] > 0 && seen[0] + seen[2] > latin) {
        return scripts[0].code;
    }
    for (size_t i = 1; i < SCRIPTS; i++) {
        if (seen[i] > latin) {
            return scripts[i].code;
        }
    }
    return NULL;
}

static bool has_between_blanks(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = strstr(list, word); at != NULL; at = strstr(at + 1, word)) {
        if (at > list && at[-1] == ' ' && at[len] == ' ') {
            return true;
        }
    }
    return false;
}

static double letter_score(const char *letters, const char *folded)
{
    double score = 0;
    char letter[3] = {0};
    for (const char *p = letters; *p != 0; p++) {
        if ((unsigned char)*p >= 0xC0 && p[1] != 0) {
            memcpy(letter, p, 2);
            score += strstr(folded, letter) != NULL ? 0.7 : 0;
        }
    }
    return score;
}

const char *language_detect(struct arena *arena, const char *text)
{
    char *head = arena_strndup(arena, text, utf8_clip(text, LANGUAGE_MAX_BYTES));
    const char *script = detect_script(head);
    if (script != NULL) {
        return script;
    }
    size_t count;
    struct utf8_word *words = utf8_words(arena, head, LANGUAGE_MAX_WORDS, &count);
    size_t best = 0;
    double first = 0, second = 0;
    for (size_t l = 0; l < LANGUAGES; l++) {
        double score = letter_score(languages[l].letters, head);
        for (size_t i = 0; i < count; i++) {
            score += has_between_blanks(languages[l].words, words[i].text);
        }
        if (score > first) {
            second = first;
            first = score;
            best = l;
        } else if (score > second) {
            second = score;
        }
    }
    bool enough = first >= (count <= 6 ? 1 : 2) && first / (double)(count + 1) >= 0.08;
    return enough && first >= second * 1.15 + 0.3 ? languages[best].code : "und";
}

static size_t primary_subtag(const char *tag)
{
    return strcspn(tag, "-_");
}

bool language_same(const char *a, const char *b)
{
    size_t len = primary_subtag(a);
    return len == primary_subtag(b) && strncasecmp(a, b, len) == 0;
}

bool language_tag_valid(const char *tag)
{
    size_t subtag = 0, parts = 0, len = strlen(tag);
    for (size_t i = 0; i <= len; i++) {
        char c = tag[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (letter || (c >= '0' && c <= '9' && parts > 0)) {
            subtag++;
        } else if ((c == '-' || c == 0) && subtag >= (parts == 0 ? 2 : 1) && subtag <= 8) {
            subtag = 0;
            parts++;
        } else {
            return false;
        }
    }
    return len <= 35;
}

const char *language_name(const char *tag)
{
    for (size_t i = 0; i < LANGUAGES; i++) {
        if (language_same(tag, languages[i].code)) {
            return languages[i].name;
        }
    }
    for (size_t i = 0; i < SCRIPTS; i++) {
        if (language_same(tag, scripts[i].code)) {
            return scripts[i].name;
        }
    }
    return tag;
}
