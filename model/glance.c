/* What a glance at texts tells: the language, what hides in them, what their form asks for.
 *
 * Plain C99 without Python's headers; model/glance.py opens it. It knows what single characters
 * are by a table, words by two lexicons, and keeps nothing between two calls. It allocates
 * nothing and never recurses; each call takes time linear in the length of the texts.
 *
 * tests/second_opinion.py says the same in plain Python.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

#define CODE_POINTS 0x110000

/* A character's entry: what it is in lower case in 21 bits, then what it is, in the order of
 * model/glance.py. MET is set once it was looked up. */
#define BIT(n) ((uint64_t)1 << (21 + (n)))
#define LOWER_OF(entry) ((uint32_t)((entry) & 0x1FFFFF))
#define MET BIT(0)
#define COMPOSES BIT(1)                 /* a text without such is its own NFC */
#define WORD BIT(2)
#define ENDS_WORD BIT(3)                /* lower case is this letter and a mark that parts words */
#define BLANK BIT(4)
#define PARTS BIT(5)                    /* words, where a language is guessed */
#define BREAKS BIT(6)                   /* what may end a sentence or begin a line */
#define NOT_LATIN BIT(7)
#define INVISIBLE BIT(8)
#define DISGUISED BIT(9)
#define NONSPACING BIT(10)
#define ENCLOSING BIT(11)
#define SELECTS BIT(12)                 /* a way to show what is before it */
#define RIGHT_TO_LEFT BIT(13)
#define DIRECTION BIT(14)               /* marks that such text may need */
#define PLAIN_LETTER BIT(15)            /* of a script that joins nothing */
#define CLINGS BIT(16)                  /* to what is before it */
#define TALLY_OF(entry) ((entry) >> 38 & 7)     /* which signs it is counted with; 0 for none */

enum { UNKNOWN_CHARACTERS = 1 };        /* beside 0: some were not met yet */

/* What language_of may answer but for the number of a language. */
enum { UNSURE = -1, BY_SCRIPT = -2, NOT_COMPOSED = -3, NOT_MET = -4 };

enum { MAY_LINK = 1, MAY_HOLD_MARKUP = 2, IS_NOT_COMPOSED = 4 };    /* flags */
enum { FLAGS, LANGUAGE, HIDDEN, IN_DISGUISE, WIDE, MARKS, TOLD };   /* what a glance tells */

enum { OWNER, FIELD, TYPED, TYPED_SIZE, BARE, BARE_SIZE, TEXT_COLUMNS };    /* as in kernel.c */

/* What a word says in a comment that asks: above these, of pairs the first and the second. */
enum {
    VERB = 1 << 0, OPENS = 1 << 1, PLEASE = 1 << 2, OWNED = 1 << 3,
    MINE_BEFORE = 1 << 4, MINE_AFTER = 1 << 5, OF = 1 << 6
};
#define FIRST_OF(word) ((word) >> 8 & 0xFFF)
#define SECOND_OF(word) ((word) >> 20)

enum { ASKS_FIRST = 4, ASKS_FOR_OWN = 8, ASKS_PLEASE = 16, ASKS_NOT_COMPOSED = 32 };

enum { COUNTED = 6, TALLIES = 5, MEASURES = COUNTED + TALLIES, MOST_SIGNS = MEASURES + 6 };
enum { MOST_LANGUAGES = 31, SAMPLE_ROOM = 1024, ASKED_ROOM = 1 << 14 };

/* Words with what each says: a table of places to look at one after another, -1 for none. */
typedef struct {
    const int32_t *slots;
    int64_t mask;                       /* one less than how many, a power of two */
    const int32_t *begins;              /* of each word in `codes`, and where the last one ends */
    const uint32_t *codes, *values;
    int64_t longest;
} Lexicon;

/* What tells languages apart: words, each with twice the number of its language, one more where
 * it has no diacritics, and another; and letters, with a bit for each language that has them to
 * itself. So many characters are looked at. */
typedef struct {
    Lexicon words, letters;
    const uint8_t *has_letters;         /* of each language */
    int64_t languages, sample;
} Telling;

typedef struct {
    Lexicon words;
    int64_t sample;
} Asking;

/* The bounds between the steps of each measure, one after another. */
typedef struct {
    const double *bounds;
    const int64_t *ends;
} Steps;

/* What is known of single characters, with an entry for each code point. */
typedef uint64_t Traits;

static uint64_t trait_of(const Traits *traits, uint32_t code)
{
    return code < CODE_POINTS ? traits[code] : MET;
}

/* ------------------------------------------------------------------ words */

static uint32_t hashed(uint32_t hash, uint32_t code)
{
    return (hash ^ code) * 0x01000193u;
}

enum { HASHED_NOTHING = 0x811C9DC5 };

/* What a word says; 0 for one that is not there. */
static uint32_t value_of(const Lexicon *lexicon, const uint32_t *word, int64_t size, uint32_t hash)
{
    if (size > lexicon->longest)
        return 0;
    for (int64_t at = hash & lexicon->mask;; at = (at + 1) & lexicon->mask) {
        const int32_t slot = lexicon->slots[at];
        if (slot < 0)
            return 0;
        const int32_t begin = lexicon->begins[slot];
        if (lexicon->begins[slot + 1] - begin == size
            && !memcmp(lexicon->codes + begin, word, (size_t)size * sizeof *word))
            return lexicon->values[slot];
    }
}

/* ------------------------------------------------------------------ language */

static int stands(const uint32_t *codes, int64_t left, const char *ascii)
{
    int64_t at = 0;
    for (; ascii[at]; at++)
        if (at >= left || codes[at] != (uint32_t)(unsigned char)ascii[at])
            return 0;
    return (int)at;
}

/* Where what is no text ends that begins at `at`: a URL, a tag, an address; `at` for none.
 * `run_end` is where the run of what is no blank ends, `last_at` its last at sign with
 * something after it. */
static int64_t no_text(const uint32_t *codes, int64_t size, int64_t at, int64_t run_end,
                       int64_t last_at)
{
    const uint32_t *here = codes + at;
    const int64_t left = run_end - at;
    int prefix = stands(here, left, "http");
    if (prefix) {
        prefix += left > prefix && here[prefix] == 's';
        const int slashes = stands(here + prefix, left - prefix, "://");
        if (slashes && left > prefix + slashes)
            return run_end;
    }
    prefix = stands(here, left, "www.");
    if (prefix && left > prefix)
        return run_end;
    if (*here == '<') {
        int64_t end = at + 1;
        while (end < size && end - at <= 201 && codes[end] != '<' && codes[end] != '>')
            end++;
        if (end < size && codes[end] == '>' && end - at > 1 && end - at <= 201)
            return end + 1;
    }
    return last_at > at ? run_end : at;
}

/* What is text of a sample, in lower case with 0 for what parts words; its size comes back. */
static int64_t write_text(const Traits *traits, const uint32_t *codes, int64_t size,
                          uint32_t *written)
{
    int holds_more = 0;                 /* than text, perhaps */
    int64_t run_end = 0, last_at = -1, to = 0;
    for (int64_t at = 0; at < size && !holds_more; at++)
        holds_more = codes[at] == '/' || codes[at] == '@'
            || (codes[at] == 'w' && stands(codes + at, size - at, "www."));
    for (int64_t at = 0; at < size; at++) {
        const uint64_t trait = trait_of(traits, codes[at]);
        if (holds_more && !(trait & BLANK)) {
            if (at >= run_end)
                for (run_end = at, last_at = -1; run_end < size
                     && !(trait_of(traits, codes[run_end]) & BLANK); run_end++)
                    if (run_end > at && codes[run_end - 1] == '@')
                        last_at = run_end - 1;
            const int64_t end = no_text(codes, size, at, run_end, last_at);
            if (end > at) {
                written[to++] = 0;
                if (end > run_end)      /* a tag over blanks: what follows it is another run */
                    run_end = 0;
                at = end - 1;
                continue;
            }
        }
        if (trait & (BLANK | PARTS)) {
            written[to++] = 0;
            continue;
        }
        written[to++] = trait & ENDS_WORD ? codes[at] : LOWER_OF(trait) ? LOWER_OF(trait)
            : CODE_POINTS;              /* U+0000 is no blank */
    }
    return to;
}

static void count_letter(const Lexicon *letters, uint32_t letter, int64_t *own)
{
    uint32_t whose = value_of(letters, &letter, 1, hashed(HASHED_NOTHING, letter));
    for (int which = 0; whose; whose >>= 1, which++)
        own[which] += whose & 1;
}

/* The language by the words of a sample in NFC: they tell for each, with and without their
 * diacritics, and letters that it has to itself do. */
static int64_t by_words(const Traits *traits, const Telling *telling, const uint32_t *codes,
                        int64_t size)
{
    uint32_t written[SAMPLE_ROOM];
    int64_t own[MOST_LANGUAGES] = {0}, said[2 * MOST_LANGUAGES] = {0};
    int64_t words = 0, best = 0, second = 0, which = UNSURE;
    size = write_text(traits, codes, size < SAMPLE_ROOM ? size : SAMPLE_ROOM, written);
    for (int64_t at = 0; at < size; at++) {
        const int64_t begin = at;
        uint32_t hash = HASHED_NOTHING;
        for (; at < size && written[at]; at++) {
            hash = hashed(hash, written[at]);
            if (written[at] >= 128)     /* no letter of ASCII is one language's own */
                count_letter(&telling->letters, written[at], own);
        }
        if (at == begin)
            continue;
        words++;
        const uint32_t value = value_of(&telling->words, written + begin, at - begin, hash);
        if (value)
            said[value - 1]++;
    }
    for (int64_t one = 0; one < telling->languages; one++) {
        const int64_t known = said[2 * one], plain = said[2 * one + 1];
        int64_t hits = plain > 1 ? plain : telling->has_letters[one] ? 0 : known;
        if (own[one])
            hits = known + plain > own[one] ? known + plain : own[one];
        if (hits >= best) {
            second = best;
            best = hits;
            which = one;
        } else if (hits > second) {
            second = hits;
        }
    }
    /* Running text has one such word in seven at the least; one alone tells in short text only. */
    const int is_enough = best * 7 >= words && (best > 1 || best * 2 >= words);
    return best && is_enough && best * 2 >= second * 3 ? which : UNSURE;
}

static int64_t language_of(const Traits *traits, const Telling *telling, const uint32_t *codes,
                           int64_t size, int is_composed)
{
    int64_t foreign = 0;
    uint64_t present = MET;
    size = is_composed || size < telling->sample ? size : telling->sample;
    for (int64_t at = 0; at < size; at++) {
        const uint64_t trait = trait_of(traits, codes[at]);
        if (!trait)
            return NOT_MET;
        present |= trait;
        foreign += (trait & NOT_LATIN) != 0;
    }
    if (!is_composed && foreign * 4 > size)
        return BY_SCRIPT;
    if (!is_composed && present & COMPOSES)
        return NOT_COMPOSED;
    return by_words(traits, telling, codes, size);
}

/* ------------------------------------------------------------------ what hides */

/* Whether what shows may need an invisible character after it: one selector each, joiners
 * between emoji and in scripts whose letters they join, and the tags of a flag. */
static int is_needed(uint32_t shown, uint64_t shown_trait, uint64_t before, uint32_t code,
                     uint64_t trait)
{
    if (trait & SELECTS)
        return !(before & INVISIBLE);
    if (shown == 0x1F3F4)
        return 0xE0020 <= code && code <= 0xE007F;
    return (!(before & INVISIBLE) || before & SELECTS)
        && !(shown < 128 || shown_trait & (BLANK | PLAIN_LETTER));
}

/* Characters that show nothing where nothing needs them. A mark belongs to its letter. */
static int64_t count_hidden(const Traits *traits, const uint32_t *codes, int64_t size,
                            int is_right_to_left, int is_braille)
{
    const uint64_t blank = traits[' '];
    uint32_t shown = ' ';
    uint64_t shown_trait = blank, before = blank;
    int64_t hidden = 0;
    for (int64_t at = size && codes[0] == 0xFEFF; at < size; at++) {
        const uint32_t code = codes[at];
        const uint64_t trait = trait_of(traits, code);
        if (!(trait & (INVISIBLE | NONSPACING))) {
            shown = code;
            shown_trait = trait;
        } else if (trait & INVISIBLE && code >= 128) {
            const int is_common = (is_right_to_left && trait & DIRECTION)
                || (is_braille && code == 0x2800);
            hidden += !is_common && !is_needed(shown, shown_trait, before, code, trait);
        }
        before = trait;
    }
    return hidden;
}

/* ------------------------------------------------------------------ what may be looked for */

static int is_letter(uint32_t code, char small)
{
    return code == (uint32_t)small || code == (uint32_t)(small - 'a' + 'A');
}

/* What may be there of links and markup, where a sign stands that either begins with; those
 * who look closer find out. */
static int begins_here(const Traits *traits, const uint32_t *codes, int64_t size, int64_t at)
{
    const uint32_t next = at + 1 < size ? codes[at + 1] : 0;
    switch (codes[at]) {
    case '&':
        return MAY_HOLD_MARKUP;
    case '<':
        return MAY_HOLD_MARKUP | (is_letter(next, 'a') || is_letter(next, 'u') ? MAY_LINK : 0);
    case '[':
        return is_letter(next, 'a') || is_letter(next, 'u') ? MAY_LINK : 0;
    case ':':
        return next == '/' ? MAY_LINK : 0;
    case '.':
        return at && (next == '-' || trait_of(traits, next) & WORD)
            && trait_of(traits, codes[at - 1]) & WORD ? MAY_LINK : 0;
    default:
        return 0;
    }
}

/* Whether a dot is spelled out where a word ends: "dot", "cham" or the same with its marks. */
static int says_dot(const Traits *traits, const uint32_t *codes, int64_t at)
{
    uint32_t before[4] = {0};
    for (int64_t i = 0; i < 4 && i <= at; i++)
        before[i] = LOWER_OF(trait_of(traits, codes[at - i]));
    return before[0] == 't' ? before[1] == 'o' && before[2] == 'd'
        : (before[1] == 'a' || before[1] == 0x1EA5) && before[2] == 'h' && before[3] == 'c';
}

static int64_t flags_of(const Traits *traits, const uint32_t *codes, int64_t size,
                        uint64_t *present)
{
    int64_t flags = 0;
    *present = MET;
    for (int64_t at = 0; at < size; at++) {
        const uint32_t code = codes[at];
        const uint64_t trait = trait_of(traits, code);
        if (!trait)
            return -1;
        *present |= trait;
        if (code < '@' ? code == '&' || code == '.' || code == ':' || code == '<' : code == '[')
            flags |= begins_here(traits, codes, size, at);
        else if (code == 't' || code == 'm' || code == 'T' || code == 'M')
            flags |= says_dot(traits, codes, at) ? MAY_HOLD_MARKUP : 0;
    }
    return flags | (*present & COMPOSES ? IS_NOT_COMPOSED : 0);
}

/* ------------------------------------------------------------------ asking */

/* Whose the thing at `at` is: words say so before it in English, after it in Vietnamese. */
static int is_own(const uint32_t *words, int64_t size, int64_t at)
{
    for (int64_t i = at > 3 ? at - 3 : 0; i < at; i++)
        if (words[i] & MINE_BEFORE)
            return 1;
    at += at + 1 < size && words[at + 1] & OF ? 2 : 1;
    return at < size && words[at] & MINE_AFTER;
}

/* What the words of a text say, and what may end a sentence, one after another. */
static int64_t write_words(const Traits *traits, const Lexicon *words, const uint32_t *codes,
                           int64_t size, uint32_t *said)
{
    uint32_t word[64];
    int64_t length = 0, found = 0;
    uint32_t hash = HASHED_NOTHING;
    for (int64_t at = 0; at <= size; at++) {
        const uint64_t trait = at < size ? trait_of(traits, codes[at]) : BLANK;
        if (trait & WORD) {
            const uint32_t code = LOWER_OF(trait);
            hash = hashed(hash, code);
            if (length < 64)
                word[length] = code;
            length++;
            if (!(trait & ENDS_WORD))
                continue;
        }
        if (length)
            said[found++] = length <= 64 ? value_of(words, word, length, hash) : 0;
        length = 0;
        hash = HASHED_NOTHING;
        if (trait & BREAKS)
            said[found++] = OPENS;
    }
    return found;
}

/* How often a text asks, up to 2, and in which ways. */
static int64_t asking_of(const Traits *traits, const Asking *asking, const uint32_t *codes,
                         int64_t size, int is_composed)
{
    uint32_t said[ASKED_ROOM + 1];
    int64_t asked = 0, ways = 0;
    int only_opens = 1;
    size = is_composed || size < asking->sample ? size : asking->sample;
    size = size < ASKED_ROOM ? size : ASKED_ROOM;
    for (int64_t at = 0; at < size && !is_composed; at++)
        if (trait_of(traits, codes[at]) & COMPOSES)
            return ASKS_NOT_COMPOSED;
    size = write_words(traits, &asking->words, codes, size, said);
    for (int64_t at = 0; at < size; at++) {
        const uint32_t word = said[at];
        const uint32_t second = at + 1 < size ? SECOND_OF(said[at + 1]) : 0;
        if ((word & VERB || FIRST_OF(word) & second) && (at == 0 || said[at - 1] & OPENS)) {
            ways |= asked == 0 && only_opens ? ASKS_FIRST : 0;
            asked++;
        }
        only_opens &= (word & OPENS) != 0;
        if (word & OWNED && !(ways & ASKS_FOR_OWN) && is_own(said, size, at))
            ways |= ASKS_FOR_OWN;
        ways |= word & PLEASE ? ASKS_PLEASE : 0;
    }
    return (asked < 2 ? asked : 2) | ways;
}

/* ------------------------------------------------------------------ signs */

/* Whether an opening tag of a link begins there, and one of BBCode: with the letters that are
 * an "i" or a "k" to whatever ignores case. */
static int is_anchor(const Traits *traits, const uint32_t *codes, int64_t left)
{
    return left > 2 && is_letter(codes[1], 'a') && trait_of(traits, codes[2]) & BLANK;
}

static int is_bbcode(const Traits *traits, const uint32_t *codes, int64_t left)
{
    int64_t end = 0;
    if (left > 4 && is_letter(codes[1], 'u') && is_letter(codes[2], 'r')
        && is_letter(codes[3], 'l'))
        end = 4;
    else if (left > 5 && is_letter(codes[1], 'l')
             && (is_letter(codes[2], 'i') || codes[2] == 0x130 || codes[2] == 0x131)
             && is_letter(codes[3], 'n') && (is_letter(codes[4], 'k') || codes[4] == 0x212A))
        end = 5;
    return end && (codes[end] == ']' || codes[end] == '='
                   || trait_of(traits, codes[end]) & BLANK);
}

/* The sign of a number, counted from the first one of its measure; at a bound it is above it. */
static int64_t step_of(const Steps *steps, int64_t measure, double value)
{
    const int64_t begin = measure ? steps->ends[measure - 1] : 0;
    int64_t at = begin;
    while (at < steps->ends[measure] && steps->bounds[at] <= value)
        at++;
    return begin + measure + at - begin;
}

/* The numbers of the signs of a text, in order; how many comes back. */
static int64_t signs_of(const Traits *traits, const Steps *steps, const uint32_t *codes,
                        int64_t size, const int64_t *counts, int64_t asked, int64_t *signs)
{
    const int64_t after_steps = steps->ends[MEASURES - 1] + MEASURES;
    int64_t tallies[1 << 3] = {0}, found = 0;
    int has_anchor = 0, has_bbcode = 0;
    for (int64_t at = 0; at < size; at++) {
        const uint32_t code = codes[at];
        tallies[TALLY_OF(trait_of(traits, code))]++;
        if (code == '<')
            has_anchor |= is_anchor(traits, codes + at, size - at);
        else if (code == '[')
            has_bbcode |= is_bbcode(traits, codes + at, size - at);
    }
    const double letters = (double)(counts[0] > 1 ? counts[0] : 1);
    for (int64_t measure = 0; measure < COUNTED; measure++) {
        const double count = (double)counts[measure];
        /* Digits and capitals by the letters there are. */
        signs[found++] = step_of(steps, measure,
                                 measure == 1 || measure == 3 ? count / letters : count);
    }
    for (int64_t tally = 0; tally < TALLIES; tally++)
        signs[found++] = step_of(steps, COUNTED + tally, (double)tallies[tally + 1]);
    if (has_anchor)
        signs[found++] = after_steps;
    if (has_bbcode)
        signs[found++] = after_steps + 1;
    if (asked & ASKS_NOT_COMPOSED)
        return found;
    signs[found++] = after_steps + 2 + (asked & 3);
    for (int way = 0; way < 3; way++)
        if (asked & (ASKS_FIRST << way))
            signs[found++] = after_steps + 5 + way;
    return found;
}

/* ------------------------------------------------------------------ what Python asks */

/* Of one text all that is told of it. */
EXPORTED int duyet_glance(const Traits *traits, const Telling *telling, const uint32_t *codes,
                          int64_t size, int64_t *told)
{
    uint64_t present;
    int64_t run = 0, is_braille = 0;
    told[FLAGS] = flags_of(traits, codes, size, &present);
    if (told[FLAGS] < 0)
        return UNKNOWN_CHARACTERS;
    told[LANGUAGE] = language_of(traits, telling, codes, size, 0);
    told[HIDDEN] = told[IN_DISGUISE] = told[WIDE] = told[MARKS] = 0;
    if (!(present & (INVISIBLE | DISGUISED | NONSPACING | ENCLOSING)))
        return 0;
    for (int64_t at = 0; at < size; at++) {
        const uint64_t trait = trait_of(traits, codes[at]);
        if (trait & DISGUISED) {
            told[IN_DISGUISE]++;
            told[WIDE] += 0xFF00 <= codes[at] && codes[at] <= 0xFF5E;
        }
        run = trait & (NONSPACING | ENCLOSING) ? run + 1 : 0;
        told[MARKS] = run > told[MARKS] ? run : told[MARKS];
        is_braille |= 0x2801 <= codes[at] && codes[at] <= 0x28FF;
    }
    if (present & INVISIBLE)
        told[HIDDEN] = count_hidden(traits, codes, size, (present & RIGHT_TO_LEFT) != 0,
                                    (int)is_braille);
    return 0;
}

/* The number of a text's language, or UNSURE and what follows it; one that was made NFC and cut
 * by the caller `is_composed`. */
EXPORTED int64_t duyet_language(const Traits *traits, const Telling *telling,
                                const uint32_t *codes, int64_t size, int is_composed)
{
    return language_of(traits, telling, codes, size, is_composed);
}

/* The flags of texts laid out as for kernel.c. */
EXPORTED int duyet_flags(const Traits *traits, const int64_t *texts, int64_t texts_size,
                         const uint32_t *typed, uint8_t *told)
{
    for (int64_t number = 0; number < texts_size; number++) {
        const int64_t *text = texts + number * TEXT_COLUMNS;
        uint64_t present;
        const int64_t flags = flags_of(traits, typed + text[TYPED], text[TYPED_SIZE], &present);
        if (flags < 0)
            return UNKNOWN_CHARACTERS;
        told[number] = (uint8_t)flags;
    }
    return 0;
}

/* What a text asks for, made NFC and cut by the caller. */
EXPORTED int64_t duyet_asking(const Traits *traits, const Asking *asking, const uint32_t *codes,
                              int64_t size)
{
    return asking_of(traits, asking, codes, size, 1);
}

/* The places of the signs of what texts of field 0 say, and whose they are.
 *
 * `counts` has the counts of each text, `sign_places` where each sign is in the table. There is
 * room for MOST_SIGNS of each text. A text that is not composed has none of asking; `uncomposed`
 * gets its number, after how many there are. How many signs there are comes back. */
EXPORTED int64_t duyet_signs(const Traits *traits, const Asking *asking, const Steps *steps,
                             const int64_t *texts, int64_t texts_size, const uint32_t *typed,
                             const int64_t *counts, const int64_t *sign_places, int64_t *places, int64_t *owners,
                             int64_t *uncomposed)
{
    int64_t found = 0;
    uncomposed[0] = 0;
    for (int64_t number = 0; number < texts_size; number++) {
        const int64_t *text = texts + number * TEXT_COLUMNS;
        const uint32_t *codes = typed + text[TYPED];
        int64_t signs[MOST_SIGNS];
        if (text[FIELD] != 0)
            continue;
        const int64_t asked = asking_of(traits, asking, codes, text[TYPED_SIZE], 0);
        const int64_t several = signs_of(traits, steps, codes, text[TYPED_SIZE],
                                         counts + number * COUNTED, asked, signs);
        for (int64_t i = 0; i < several; i++, found++) {
            places[found] = sign_places[signs[i]];
            owners[found] = text[OWNER];
        }
        if (asked & ASKS_NOT_COMPOSED)
            uncomposed[++uncomposed[0]] = number;
    }
    return found;
}

static int clings(const Traits *traits, const uint32_t *codes, int64_t at)
{
    return codes[at - 1] == 0x200D || trait_of(traits, codes[at]) & CLINGS;
}

/* Widen spans so that they cut no letter from its marks or joiners. */
EXPORTED void duyet_widen(const Traits *traits, const int64_t *texts, const uint32_t *typed,
                          int64_t *spans, int64_t spans_size)
{
    for (int64_t *span = spans; span < spans + 5 * spans_size; span += 5) {
        const int64_t *text = texts + span[2] * TEXT_COLUMNS, size = text[TYPED_SIZE];
        const uint32_t *codes = typed + text[TYPED];
        while (0 < span[3] && span[3] < size && clings(traits, codes, span[3]))
            span[3]--;
        while (0 < span[4] && span[4] < size && clings(traits, codes, span[4]))
            span[4]++;
    }
}

/* Where the characters of parts came from: of each part where its first one did, whether the
 * others follow that or came from there too, and how many there are. */
EXPORTED void duyet_origins(const int64_t *parts, int64_t parts_size, int64_t *origins)
{
    for (const int64_t *part = parts; part < parts + 3 * parts_size; part += 3)
        for (int64_t i = 0; i < part[2]; i++)
            *origins++ = part[0] + i * part[1];
}
