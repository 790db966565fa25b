/* Comparing questions word by word. */
#include "model/alike_text.h"

#include <ctype.h>
#include <string.h>
#include "base/utf8.h"
#include "model/language.h"

#define WORDS_MAX 512
#define FOUND_WORDS_MAX 16384
#define ORDERED_LEAST 4  /* bytes of a word whose place counts */
#define REPEATED_LEAST 3 /* bytes of a word that may be somebody's own */

/* Folded words with a blank around each. */
struct tongue {
    const char *language;
    const char *negations;
    const char *turning; /* that turn a question into another, numbers among them */
};

/* clang-format off */
static const struct tongue tongues[] = {
    {"en",
        " no not never none nobody nothing neither nor without cannot cant dont doesnt didnt wont"
        " isnt arent wasnt couldnt shouldnt wouldnt unable impossible except fail fails failed"
        " instead hardly rarely ",
        " on off out down before after since until first last next previous more less most least"
        " enable enabled disable disabled activate deactivate add remove delete create open close"
        " closed lock unlock start stop begin end pause resume keep cancel change increase decrease"
        " raise lower upgrade downgrade install uninstall subscribe unsubscribe buy sell pay paid"
        " unpaid refund return replace exchange repair send sent receive received import export"
        " upload download connect disconnect pair unpair link unlink show hide public private"
        " personal business monthly yearly annual annually weekly daily day days week weeks month"
        " months year years hour hours minute minutes today tomorrow yesterday all every only both"
        " either always sometimes old new left right top bottom front back inside outside indoor"
        " outdoor hot cold warm high low long short big small large fast slow full empty early late"
        " cheap expensive free black white red green blue why when where who whose whom one two three"
        " four five six seven eight nine ten eleven twelve twenty thirty fifty hundred thousand half"
        " double twice once second third his her their our if than with or "},
    {"de",
        " nicht kein keine keinen keinem keiner keines nie niemals niemand nichts ohne weder noch"
        " unmöglich ausser statt kaum selten ",
        " an aus vor nach seit bis erste ersten letzte letzten nächste mehr weniger meiste wenigste"
        " aktivieren deaktivieren einschalten ausschalten hinzufügen entfernen löschen anlegen öffnen"
        " schliessen sperren entsperren starten stoppen beginnen beenden behalten kündigen stornieren"
        " ändern erhöhen senken installieren deinstallieren abonnieren abbestellen kaufen verkaufen"
        " zahlen bezahlt erstatten zurückgeben ersetzen umtauschen reparieren senden empfangen"
        " verbinden trennen koppeln anmelden abmelden öffentlich privat geschäftlich monatlich"
        " jährlich wöchentlich täglich heute morgen gestern alle einige jede jeder jedes nur beide"
        " immer manchmal alt neu alte neue links rechts oben unten innen aussen heiss kalt warm hoch"
        " niedrig lang kurz gross klein schnell langsam voll leer früh spät billig teuer kostenlos"
        " schwarz weiss rot grün blau warum wieso weshalb wann wo wohin woher wer wem wen eins zwei"
        " drei vier fünf sechs sieben acht neun zehn elf zwölf zwanzig dreissig fünfzig hundert"
        " tausend halb doppelt zweimal einmal wenn mit oder "},
    {"fr",
        " ne n pas non jamais sans aucun aucune rien personne ni impossible sauf guère ",
        " avant après depuis premier première dernier dernière prochain plus moins activer désactiver"
        " allumer éteindre ajouter supprimer enlever créer ouvrir fermer verrouiller déverrouiller"
        " démarrer arrêter commencer finir garder annuler résilier changer augmenter baisser diminuer"
        " installer désinstaller abonner désabonner acheter vendre payer payé rembourser retourner"
        " remplacer échanger réparer envoyer recevoir connecter déconnecter mensuel annuel"
        " hebdomadaire quotidien jour jours semaine semaines mois an ans aujourd hui demain hier tous"
        " toutes tout quelques chaque seulement toujours ancien nouveau gauche droite haut bas dedans"
        " dehors chaud froid long court grand petit rapide lent plein vide tôt tard gratuit noir"
        " blanc rouge vert bleu pourquoi quand où qui deux trois quatre cinq six sept huit neuf dix"
        " onze douze vingt trente cinquante cent mille demi double fois si ou "},
    {"es",
        " no nunca jamás sin ningún ninguna ninguno nada nadie ni tampoco imposible excepto salvo ",
        " antes después desde hasta primero primera último última próximo más menos activar"
        " desactivar encender apagar añadir agregar quitar eliminar borrar crear abrir cerrar"
        " bloquear desbloquear iniciar parar detener empezar terminar mantener cancelar cambiar"
        " aumentar bajar reducir instalar desinstalar suscribir comprar vender pagar pagado"
        " reembolsar devolver reemplazar reparar enviar recibir conectar desconectar mensual anual"
        " semanal diario día días semana semanas mes meses año años hoy mañana ayer todos todas todo"
        " algunos cada solo siempre viejo nuevo izquierda derecha arriba abajo dentro fuera caliente"
        " frío largo corto grande pequeño rápido lento lleno vacío temprano tarde gratis negro blanco"
        " rojo verde azul cuándo dónde quién uno dos tres cuatro cinco seis siete ocho nueve diez"
        " once doce veinte treinta cincuenta cien mil medio doble vez veces si o "},
    {"it",
        " non mai senza nessun nessuno nessuna niente nulla né impossibile tranne eccetto ",
        " prima dopo da fino primo ultima ultimo prossimo più meno attivare disattivare accendere"
        " spegnere aggiungere rimuovere eliminare cancellare creare aprire chiudere bloccare"
        " sbloccare avviare fermare iniziare finire tenere annullare disdire cambiare aumentare"
        " diminuire abbassare installare disinstallare comprare vendere pagare pagato rimborsare"
        " restituire sostituire riparare inviare ricevere collegare scollegare mensile annuale"
        " settimanale giornaliero giorno giorni settimana settimane mese mesi anno anni oggi domani"
        " ieri tutti tutte tutto alcuni ogni solo sempre vecchio nuovo sinistra destra sopra sotto"
        " dentro fuori caldo freddo lungo corto grande piccolo veloce lento pieno vuoto presto tardi"
        " gratis nero bianco rosso verde blu perché quando dove chi uno due tre quattro cinque sei"
        " sette otto nove dieci undici dodici venti trenta cinquanta cento mille mezzo doppio volta"
        " volte o "},
    {"nl",
        " niet geen nooit zonder niemand niets noch onmogelijk behalve ",
        " aan uit sinds tot eerste laatste volgende meer minder inschakelen uitschakelen activeren"
        " deactiveren toevoegen verwijderen wissen maken openen sluiten vergrendelen ontgrendelen"
        " starten stoppen beginnen eindigen houden annuleren opzeggen wijzigen verhogen verlagen"
        " installeren kopen verkopen betalen betaald terugbetalen retourneren vervangen ruilen"
        " repareren verzenden ontvangen verbinden maandelijks jaarlijks wekelijks dagelijks dag dagen"
        " week weken maand maanden jaar jaren vandaag morgen gisteren alle sommige elke alleen altijd"
        " oud nieuw links rechts boven onder binnen buiten warm koud lang kort groot klein snel"
        " langzaam vol leeg vroeg laat gratis zwart wit rood groen blauw waarom wanneer waar wie twee"
        " drie vier vijf zes zeven acht negen tien elf twaalf twintig dertig vijftig honderd duizend"
        " half dubbel keer of "},
    {"pt",
        " não nunca jamais sem nenhum nenhuma nada ninguém nem impossível exceto ",
        " antes depois desde até primeiro primeira último última próximo mais menos ativar desativar"
        " ligar desligar adicionar remover excluir apagar criar abrir fechar bloquear desbloquear"
        " iniciar parar começar terminar manter cancelar mudar alterar aumentar diminuir instalar"
        " desinstalar assinar comprar vender pagar pago reembolsar devolver substituir trocar"
        " consertar enviar receber conectar desconectar mensal anual semanal diário dia dias semana"
        " semanas mês meses ano anos hoje amanhã ontem todos todas tudo alguns cada só somente sempre"
        " velho novo esquerda direita acima abaixo dentro fora quente frio longo curto grande pequeno"
        " rápido lento cheio vazio cedo tarde grátis preto branco vermelho verde azul porquê quando"
        " onde quem dois três quatro cinco seis sete oito nove dez onze doze vinte trinta cinquenta"
        " cem mil meio dobro vez vezes se ou "},
};
/* clang-format on */

/* Before a word they make its opposite. */
static const char *const turning_starts[] = {
    "un", "dis", "de", "in", "im", "non", "re", "ab", "an", "ent", "dés", "des", "s"};

struct said {
    const char *text;
    struct utf8_word *words;
    size_t count;
};

char *alike_text(struct arena *arena, const struct msg_ticket *ticket)
{
    bool fits = strlen(ticket->subject) + strlen(ticket->description) < ALIKE_TEXT_MAX;
    return fits ? arena_printf(arena, "%s\n%s", ticket->subject, ticket->description) : NULL;
}

static struct said read_text(struct arena *arena, const char *text, size_t max)
{
    struct said said = {.text = text};
    said.words = utf8_words(arena, text, max, &said.count);
    return said;
}

static bool listed(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at++) {
        if (at > list && at[-1] == ' ' && at[len] == ' ') {
            return true;
        }
    }
    return false;
}

static bool has(const struct said *said, const char *word)
{
    for (size_t i = 0; i < said->count; i++) {
        if (strcmp(said->words[i].text, word) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- the language ---- */

static const struct tongue *tongue_of(struct arena *arena, const char *locale, const char *text)
{
    const char *language = language_detect(arena, text);
    if (strcmp(language, "und") == 0) {
        language = locale;
    } else if (locale && !language_same(locale, language)) {
        return NULL;
    }
    for (size_t i = 0; language && i < sizeof(tongues) / sizeof(tongues[0]); i++) {
        if (language_same(language, tongues[i].language)) {
            return &tongues[i];
        }
    }
    return NULL;
}

/* ---- what must be the same ---- */

static bool is_number(const char *word)
{
    return word[strcspn(word, "0123456789")] != '\0';
}

/* The next number from word `*at` on; NULL: no other. */
static const char *next_number(const struct said *said, size_t *at)
{
    while (*at < said->count) {
        const char *word = said->words[(*at)++].text;
        if (is_number(word)) {
            return word;
        }
    }
    return NULL;
}

static bool same_numbers(const struct said *a, const struct said *b)
{
    size_t at_a = 0, at_b = 0;
    for (;;) {
        const char *x = next_number(a, &at_a), *y = next_number(b, &at_b);
        if (!x || !y) {
            return x == y;
        }
        if (strcmp(x, y) != 0) {
            return false;
        }
    }
}

/* Between words: what is neither blank nor mere punctuation, such as a currency, a percent sign, an at. */
static const char *signs_of(struct arena *arena, const struct said *said)
{
    static const char *const mere[] = {"‘", "’", "“", "”", "„", "«", "»", "–", "—", "…", "¿", "¡", "\u00a0"};
    size_t len = 0, word = 0, end = strlen(said->text);
    char *signs = arena_array(arena, end + 1, 1);
    for (size_t i = 0; i < end;) {
        if (word < said->count && i == said->words[word].start) {
            i = said->words[word++].end;
            continue;
        }
        size_t skip = isspace((unsigned char)said->text[i]) || strchr("'\"().,;:!?-", said->text[i]) ? 1 : 0;
        for (size_t m = 0; skip == 0 && m < sizeof(mere) / sizeof(mere[0]); m++) {
            skip = strncmp(said->text + i, mere[m], strlen(mere[m])) == 0 ? strlen(mere[m]) : 0;
        }
        if (skip == 0) {
            signs[len++] = said->text[i];
        }
        i += skip > 0 ? skip : 1;
    }
    signs[len] = '\0';
    return signs;
}

/* "don't" is cut into two words. */
static size_t negations_of(const struct tongue *tongue, const struct said *said)
{
    size_t count = 0;
    for (size_t i = 0; i < said->count; i++) {
        const char *word = said->words[i].text;
        bool cut = i > 0 && strcmp(word, "t") == 0 &&
                   said->words[i - 1].text[strlen(said->words[i - 1].text) - 1] == 'n';
        count += cut || listed(tongue->negations, word);
    }
    return count;
}

/* The next word from `*at` on that the other has, too, and that has not come before; NULL: no other. */
static const char *next_shared(const struct said *said, const struct said *other, size_t *at)
{
    while (*at < said->count) {
        const char *word = said->words[(*at)++].text;
        const struct said before = {.words = said->words, .count = *at - 1};
        if (strlen(word) >= ORDERED_LEAST && has(other, word) && !has(&before, word)) {
            return word;
        }
    }
    return NULL;
}

static bool same_order(const struct said *a, const struct said *b)
{
    size_t at_a = 0, at_b = 0;
    for (;;) {
        const char *x = next_shared(a, b, &at_a), *y = next_shared(b, a, &at_b);
        if (!x || !y) {
            return x == y;
        }
        if (strcmp(x, y) != 0) {
            return false;
        }
    }
}

/* ---- what only one has ---- */

static bool starts_sentence(const struct said *said, size_t i)
{
    size_t from = i > 0 ? said->words[i - 1].end : 0;
    for (size_t at = from; at < said->words[i].start; at++) {
        if (strchr(".!?:\n", said->text[at])) {
            return true;
        }
    }
    return i == 0;
}

/* Capital letters where the language would not have them: a name, an abbreviation. */
static bool is_name(const struct said *said, size_t i)
{
    const struct utf8_word *word = &said->words[i];
    const char *first = said->text + word->start;
    size_t len = word->end - word->start, folded = strlen(word->text);
    int32_t code;
    size_t one = utf8_char(first, len, &code);
    if (folded != len || one == 0) {
        return true; /* what folding has changed is no plain word */
    }
    bool all = memcmp(first, word->text, len) == 0,
         rest = memcmp(first + one, word->text + one, len - one) == 0;
    bool pronoun = strcmp(word->text, "i") == 0;
    return !all && !pronoun && (!rest || !starts_sentence(said, i));
}

/* "lock" and "unlock", "abonner" and "désabonner". */
static bool has_opposite(const struct said *other, const char *word)
{
    for (size_t i = 0; i < other->count; i++) {
        const char *theirs = other->words[i].text;
        const char *longer = strlen(theirs) > strlen(word) ? theirs : word;
        const char *shorter = longer == word ? theirs : word;
        size_t start = strlen(longer) - strlen(shorter);
        if (start == 0 || strlen(shorter) < 3 || strcmp(longer + start, shorter) != 0) {
            continue;
        }
        for (size_t s = 0; s < sizeof(turning_starts) / sizeof(turning_starts[0]); s++) {
            if (strlen(turning_starts[s]) == start && strncmp(longer, turning_starts[s], start) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Whether a word that only `a` has may change what is asked. */
static bool tells_apart(const struct tongue *tongue, const struct said *a, const struct said *b)
{
    for (size_t i = 0; i < a->count; i++) {
        const char *word = a->words[i].text;
        if (!has(b, word) && (listed(tongue->turning, word) || is_name(a, i) || has_opposite(b, word))) {
            return true;
        }
    }
    return false;
}

static bool same_question(
    struct arena *arena, const struct tongue *tongue, const struct said *a, const struct said *b)
{
    return same_numbers(a, b) && strcmp(signs_of(arena, a), signs_of(arena, b)) == 0 &&
           negations_of(tongue, a) == negations_of(tongue, b) && same_order(a, b) &&
           !tells_apart(tongue, a, b) && !tells_apart(tongue, b, a);
}

bool alike_texts(const char *locale, const char *a, const char *b)
{
    struct arena *arena = arena_new(0);
    const struct tongue *tongue = tongue_of(arena, locale, a);
    bool same = tongue && tongue == tongue_of(arena, locale, b);
    if (same) {
        const struct said x = read_text(arena, a, WORDS_MAX), y = read_text(arena, b, WORDS_MAX);
        same = same_question(arena, tongue, &x, &y);
    }
    arena_free(arena);
    return same;
}

/* ---- what was said by one alone ---- */

/* Titles and excerpts. */
static struct said *read_found(struct arena *arena, const struct msg_context *found)
{
    struct said *said = arena_array(arena, 2 * found->items_count + 1, sizeof(*said));
    for (size_t i = 0; i < found->items_count; i++) {
        said[2 * i] = read_text(arena, found->items[i].title, FOUND_WORDS_MAX);
        said[2 * i + 1] = read_text(arena, found->items[i].excerpt, FOUND_WORDS_MAX);
    }
    return said;
}

bool alike_repeats(const char *answer, const char *theirs, const char *ours, const struct msg_context *found)
{
    struct arena *arena = arena_new(0);
    const struct said said = read_text(arena, answer, FOUND_WORDS_MAX),
                      a = read_text(arena, theirs, WORDS_MAX), b = read_text(arena, ours, WORDS_MAX);
    const struct said *texts = read_found(arena, found);
    bool repeats = false;
    for (size_t i = 0; i < a.count && !repeats; i++) {
        const char *word = a.words[i].text;
        repeats = strlen(word) >= REPEATED_LEAST && !has(&b, word) && has(&said, word);
        for (size_t text = 0; repeats && text < 2 * found->items_count; text++) {
            repeats = !has(&texts[text], word);
        }
    }
    arena_free(arena);
    return repeats;
}
