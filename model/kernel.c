/* From the code points of texts to log-odds, rows and spans, in one pass.
 *
 * Plain C99 without Python's headers; model/kernel.py opens it. It knows what letters, parts,
 * n-grams, weights and spans are, and keeps nothing between two calls, so that any number of
 * threads may be in it at once. It allocates nothing and never recurses: all memory is the
 * caller's, by the length of the longest text, and what would not fit is asked for.
 *
 * A text is read at a time, in these steps:
 *
 *     read         code points as they read to the eye, and where each was typed
 *     undo leet    digits and signs for letters
 *     find words   letters set apart are joined, words run together are parted
 *     keep letters what is drawn out is dropped, what parts words too
 *     find parts   sentences, or several
 *     find n-grams of characters, words and words with their marks: a place in the table each
 *     weigh        the whole, and the part that says most for a head
 *     explain      what each character adds, and the runs of words that say most
 *
 * Sums are made in a fixed order, so that a platform gives the same bytes every time. It must be
 * compiled without contraction (-ffp-contract=off) for that.
 */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

/* What a character of a reading may be, in the order of model/text.py. */
enum {
    LETTER = 1 << 0, DIGIT = 1 << 1, BLANK = 1 << 2, SIGN = 1 << 3, STOP = 1 << 4,
    LINE = 1 << 5, UPPER = 1 << 6, LOWER = 1 << 7, SYMBOL = 1 << 8
};

enum { CHARS, WORDS, MARKED, KINDS };   /* kinds of n-grams, in the order of model/features.py */
enum { SYMBOLS = KINDS };               /* the salt of symbols comes after those of the kinds */

enum { DONE, UNKNOWN_CHARACTERS, MORE_ROOM, IMPOSSIBLE };     /* how a call may end */

/* What a call may ask for besides what texts add to the heads and what is counted of them. */
enum { SPANS = 1, WEIGHTS = 2, ROWS = 4, GRAMS = 8, ALL_LETTERS = 16, READINGS = 32 };

enum { OWNER, FIELD, TYPED, TYPED_SIZE, BARE, BARE_SIZE, TEXT_COLUMNS };
enum { COUNTED = 6 };   /* letters, digits, longest number, capitals, symbols, lines */

enum {
    EDGE = 2,           /* blanks at either end, so that neighbours can be looked at without care */
    MOST_HEADS = 8,
    MOST_SPANS = 8,
    MOST_PARTS = 256,   /* a part's number has 8 bits in a key */
    LONGEST_READING = 1 << 24
};

#if defined(__GNUC__)
#define SOON(address) __builtin_prefetch(address)
#else
#define SOON(address) ((void)0)
#endif

#define CODE_POINTS 0x110000
#define NOUGHT '0'
#define FIRST_SYLLABIC 0x2E80           /* CJK radicals; kana, ideographs and Hangul follow */
#define BASE 0x9E3779B97F4A7C15u        /* of rolling hashes, modulo 2**64 */

/* What words and dense runs of them are: see model/spans.py. */
typedef struct {
    const uint8_t *blanks;              /* 1 for each of the first code points that is a blank */
    int64_t blanks_size, longest_piece;
    double rounding, dense;
} Density;

/* All that is the same for every text that one model reads. */
typedef struct {
    const uint64_t *characters;         /* what each code point becomes: see model/text.py */
    const uint64_t *spellings;          /* of those that become several, one after another */
    int64_t spellings_size;
    const uint32_t *leet;               /* of ASCII */
    Density density;
    int64_t part_letters, parts_apart, spans_per_head;
    int64_t bits, heads, fields;
    double worst_part;
    const int64_t *lengths[KINDS];      /* of n-grams, each once, from the shortest, from 1 */
    int64_t lengths_size[KINDS];
    const uint64_t *salts;              /* of each field: those of the kinds, then of symbols */
    const double *shares;               /* of each field: those of the kinds */
    const float *table;                 /* weights, a row of heads for each of 2**bits places */
} Plan;

/* The texts of one call, what is asked for, room to work in, and where answers go.
 *
 * A text has the columns above: whose it is, its field (0 is read as prose, of others what
 * stands between the words is kept), where it begins in `typed` and how long it is, and where
 * what is shown of it begins in `bare` with where that was typed in `origins`; a BARE of -1 says
 * that it is shown as typed. The texts of an owner stand together.
 */
typedef struct {
    const int64_t *texts;
    int64_t texts_size;
    const uint32_t *typed, *bare;
    const int64_t *origins;
    int64_t asked;
    uint8_t *room;
    int64_t room_size;                  /* in: what there is; out: what is needed */
    int64_t characters_size;            /* the same for answers of a reading's length in all */
    int64_t grams_size;                 /* the same for answers with a row for each n-gram */
    uint32_t *unknown;                  /* code points that were not met yet */
    int64_t unknown_size;               /* in: how many fit; out: how many there are */

    int64_t *counts;                    /* of each text */
    double *odds;                       /* what each text adds to each head */
    int64_t *spans;                     /* owner, head, text, start and end, heaviest first */
    double *span_weights;
    int64_t spans_found;
    double *weights;                    /* a row for each head: what each character adds */
    int64_t weights_size;               /* how long such a row is: that of `typed` */

    int64_t *row_ends;                  /* of each text, in `row_places` and `row_values` */
    int32_t *row_places;
    float *row_values;

    int64_t *gram_ends;                 /* of each text, in all that follow */
    int64_t *gram_kinds, *gram_places, *gram_starts, *gram_finishes, *gram_parts;
    double *gram_values, *gram_part_values;

    int64_t *letter_ends, *symbol_ends, *reading_ends;  /* of each text, in what follows */
    uint32_t *plain, *marked;
    int64_t *places, *parts;
    uint8_t *spoken, *begins;
    uint32_t *symbols;
    int64_t *symbol_places, *symbol_parts;
    uint32_t *reading_plain, *reading_marked;
    uint16_t *reading_kinds;
    int64_t *reading_places;
} Call;

/* ------------------------------------------------------------------ one text's room */

/* A text as it reads, with blanks at its edges. `plain` stays as it was read, `letter` has leet
 * undone. */
typedef struct {
    int64_t size;
    uint32_t *plain, *marked, *letter;
    uint16_t *kinds;
    int32_t *place;
    uint8_t *inside, *figure, *begins;
} Reading;

typedef struct {
    int64_t size, words, symbols, ends;
    uint32_t *plain, *marked;
    int32_t *place;
    uint8_t *part, *spoken, *begins;
    int32_t *first, *last;              /* of each word: its first letter and its last spoken one */
    uint64_t *hash;
    uint32_t *symbol;
    int32_t *symbol_place, *symbol_after;   /* after how many letters a symbol stands */
    uint8_t *symbol_part;
    int32_t *end;                       /* after how many letters a sentence or line ends */
} Letters;

/* N-grams of a kind. A key is a place, a part and the n-gram's number, so that keys in order
 * have equal places side by side, and of these equal parts. */
typedef struct {
    int64_t size;
    uint64_t *key;
    int32_t *start, *end;
    double *added;                      /* by each n-gram to each head */
    double scale;                       /* what each distinct one counts, in the whole */
    double part_scale[MOST_PARTS];      /* and in a part that is read alone */
} Grams;

#define PLACE_OF(key) ((key) >> 40)
#define PART_OF(key) ((key) >> 32 & 0xFF)
#define NUMBER_OF(key) ((key) & 0xFFFFFFFF)

typedef struct { int64_t start, end; double weight; } Run;

/* Where words begin in a text as typed, and where what is shown of it up to their end does. */
typedef struct {
    int64_t size;
    int32_t *start, *shown_end;
    Run *run;
} Typed;

typedef struct {
    Reading reading;
    Letters letters;
    Grams grams[KINDS];
    uint64_t *spare;                    /* as long as the n-grams of a kind */
    double *weight;                     /* of each character, head by head, and one more */
    Typed typed;
} Room;

/* Where the address sanitizer looks on, a gap after each array that nothing may touch. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define GAP 32
#define CLOSE(from, to) ASAN_POISON_MEMORY_REGION(from, (size_t)((to) - (from)))
#define OPEN(from, size) ASAN_UNPOISON_MEMORY_REGION(from, (size_t)(size))
#else
#define GAP 0
#define CLOSE(from, to) ((void)0)
#define OPEN(from, size) ((void)0)
#endif

static void *take(uint8_t *room, int64_t *used, int64_t count, int64_t size)
{
    int64_t at = *used;
    *used += ((count * size + 15) & ~(int64_t)15) + GAP;
    if (room)
        CLOSE(room + at + count * size, room + *used);
    return room ? room + at : NULL;
}

#define TAKE(type, count) ((type *)take(room, &used, (count), (int64_t)sizeof(type)))

static int64_t most_grams(const Plan *plan, int kind, int64_t characters)
{
    /* Of syllables those of one and two as well, and symbols among the words. */
    int64_t more = kind == CHARS ? 2 : kind == WORDS ? 1 : 0;
    return characters * (plan->lengths_size[kind] + more);
}

/* How much room a text takes; where `room` is not NULL, `into` is made to point there. */
static int64_t divide(const Plan *plan, int64_t read, int64_t typed, uint8_t *room, Room *into)
{
    int64_t used = 0, most = 0;
    Reading *reading = &into->reading;
    Letters *letters = &into->letters;
    reading->plain = TAKE(uint32_t, read);
    reading->marked = TAKE(uint32_t, read);
    reading->letter = TAKE(uint32_t, read);
    reading->kinds = TAKE(uint16_t, read);
    reading->place = TAKE(int32_t, read);
    reading->inside = TAKE(uint8_t, read);
    reading->figure = TAKE(uint8_t, read);
    reading->begins = TAKE(uint8_t, read);
    letters->plain = TAKE(uint32_t, read);
    letters->marked = TAKE(uint32_t, read);
    letters->place = TAKE(int32_t, read);
    letters->part = TAKE(uint8_t, read);
    letters->spoken = TAKE(uint8_t, read);
    letters->begins = TAKE(uint8_t, read);
    letters->first = TAKE(int32_t, read);
    letters->last = TAKE(int32_t, read);
    letters->hash = TAKE(uint64_t, read);
    letters->symbol = TAKE(uint32_t, read);
    letters->symbol_place = TAKE(int32_t, read);
    letters->symbol_after = TAKE(int32_t, read);
    letters->symbol_part = TAKE(uint8_t, read);
    letters->end = TAKE(int32_t, read);
    for (int kind = 0; kind < KINDS; kind++) {
        int64_t size = most_grams(plan, kind, read);
        into->grams[kind].key = TAKE(uint64_t, size);
        into->grams[kind].start = TAKE(int32_t, size);
        into->grams[kind].end = TAKE(int32_t, size);
        into->grams[kind].added = TAKE(double, size * plan->heads);
        most = size > most ? size : most;
    }
    into->spare = TAKE(uint64_t, most);
    into->weight = TAKE(double, (typed + 2) * plan->heads);   /* an edge stands on one, too */
    into->typed.start = TAKE(int32_t, typed);
    into->typed.shown_end = TAKE(int32_t, typed);
    into->typed.run = TAKE(Run, typed);
    return used;
}

/* ------------------------------------------------------------------ reading */

/* What a code point becomes: 21 bits each of a plain and a marked one, 9 of kinds, 3 that say
 * how many, and one that is set once it was met. Of several, the plain one is where they begin
 * in `spellings`, each written in the same way. */
#define PLAIN_OF(entry) ((uint32_t)((entry) & 0x1FFFFF))
#define MARKED_OF(entry) ((uint32_t)((entry) >> 21 & 0x1FFFFF))
#define KINDS_OF(entry) ((uint16_t)((entry) >> 42 & 0x1FF))
#define MANY_OF(entry) ((int64_t)((entry) >> 51 & 7))

static uint64_t entry_of(const Plan *plan, uint32_t code)
{
    return code < CODE_POINTS ? plan->characters[code] : 0;
}

static const uint32_t *shown_of(const Call *call, const int64_t *text, int64_t *size)
{
    int is_typed = text[BARE] < 0;
    *size = is_typed ? text[TYPED_SIZE] : text[BARE_SIZE];
    return is_typed ? call->typed + text[TYPED] : call->bare + text[BARE];
}

/* How many characters a text reads as, its edges too; unknown code points are noted. */
static int64_t measured(const Plan *plan, Call *call, const int64_t *text, int64_t *unknown)
{
    int64_t size, read = 2 * EDGE;
    const uint32_t *codes = shown_of(call, text, &size);
    for (int64_t i = 0; i < size; i++) {
        uint64_t entry = entry_of(plan, codes[i]);
        int64_t many = MANY_OF(entry);
        /* Another thread may have met one while its spelling is not seen here yet. */
        int is_there = many < 2
            || (PLAIN_OF(entry) + many <= plan->spellings_size
                && plan->spellings[PLAIN_OF(entry) + many - 1]);
        if (!entry || !is_there) {
            if (*unknown < call->unknown_size)
                call->unknown[*unknown] = codes[i];
            ++*unknown;
        }
        read += many;
    }
    return read;
}

static void put(Reading *reading, uint64_t entry, int32_t place)
{
    int64_t at = reading->size++;
    reading->plain[at] = reading->letter[at] = PLAIN_OF(entry);
    reading->marked[at] = MARKED_OF(entry);
    reading->kinds[at] = KINDS_OF(entry);
    reading->place[at] = place;
}

/* The text as it reads. The kinds of all its characters come back. */
static unsigned read_text(const Plan *plan, const Call *call, const int64_t *text, Reading *reading)
{
    const uint64_t blank = ' ' | (uint64_t)' ' << 21 | (uint64_t)BLANK << 42;
    const int64_t last = text[TYPED_SIZE] - 1;
    const int64_t *origins = text[BARE] < 0 ? NULL : call->origins + text[BARE];
    unsigned present = BLANK;
    int64_t size;
    const uint32_t *codes = shown_of(call, text, &size);
    int64_t place = origins && size ? origins[0] : 0;
    reading->size = 0;
    for (int i = 0; i < EDGE; i++)
        put(reading, blank, (int32_t)place);
    for (int64_t i = 0; i < size; i++) {
        uint64_t entry = entry_of(plan, codes[i]);
        int64_t many = MANY_OF(entry);
        place = origins ? origins[i] : i;
        place = place < 0 ? 0 : place > last ? last : place;
        if (many == 1) {
            put(reading, entry, (int32_t)place);
            present |= KINDS_OF(entry);
        } else {
            for (int64_t j = 0; j < many; j++) {
                uint64_t one = plan->spellings[PLAIN_OF(entry) + j];
                put(reading, one, (int32_t)place);
                present |= KINDS_OF(one);
            }
        }
    }
    for (int i = 0; i < EDGE; i++)
        put(reading, blank, (int32_t)place);
    return present;
}

/* ------------------------------------------------------------------ words */

/* Undo leet from `first` to `last`, digits and signs between letters side by side.
 *
 * One or two stand for letters in a word that has letters too, if it does not begin with two
 * digits as a price does; all others become noughts. */
static void read_figures(const Plan *plan, Reading *reading, int64_t word, int64_t first,
                         int64_t last)
{
    const uint16_t *kinds = reading->kinds;
    int among_letters = reading->inside[first - 1] || reading->inside[last + 1];
    int is_price = kinds[word] & DIGIT && kinds[word + 1] & DIGIT;
    int is_leet = last - first < 2 && among_letters && !is_price;
    for (int64_t at = first; at <= last; at++) {
        uint32_t plain = reading->plain[at];
        uint32_t letter = is_leet && plain < 128 ? plan->leet[plain] : NOUGHT;
        reading->letter[at] = letter;
        if (letter != plain)
            reading->marked[at] = letter;
    }
}

/* Which characters belong to words, with leet undone. */
static void undo_leet(const Plan *plan, Reading *reading, unsigned present)
{
    const uint16_t *kinds = reading->kinds;
    uint8_t *inside = reading->inside, *figure = reading->figure;
    const int64_t size = reading->size;
    for (int64_t at = 0; at < size; at++)
        inside[at] = (kinds[at] & (LETTER | DIGIT)) != 0;
    if (!(present & (DIGIT | SIGN)))
        return;
    for (int64_t at = 0; at < size; at++)
        figure[at] = (kinds[at] & DIGIT) != 0
            || (kinds[at] & SIGN && inside[at - 1] && inside[at + 1]);
    /* Only now, as a sign counts between letters and digits, not beside another sign. */
    for (int64_t at = 0; at < size; at++)
        inside[at] |= figure[at];
    for (int64_t at = EDGE, word = EDGE; at < size; at++) {
        if (!inside[at]) {
            word = at + 1;
        } else if (figure[at]) {
            int64_t last = at;
            while (figure[last + 1])
                last++;
            read_figures(plan, reading, word, at, last);
            at = last;
        }
    }
    /* A sign that stands for nothing parts words again. */
    for (int64_t at = EDGE; at < size; at++)
        if (figure[at] && !(kinds[at] & DIGIT) && reading->letter[at] == NOUGHT)
            inside[at] = 0;
}

static int is_single(const Reading *reading, int64_t at)
{
    const uint8_t *inside = reading->inside;
    return inside[at] && !inside[at - 1] && !inside[at + 1];
}

/* Where words begin. The same character between single letters joins them: c a s i n o, v.a.y;
 * blanks between words so written, dots within: only like gaps join. A capital after two small
 * letters and before one begins a word: ClickHere. */
static void find_words(Reading *reading, unsigned present)
{
    const uint8_t *inside = reading->inside;
    const uint16_t *kinds = reading->kinds;
    const uint32_t *plain = reading->plain;
    const int64_t size = reading->size;
    reading->begins[0] = reading->begins[1] = reading->begins[size - 1] = 0;
    for (int64_t at = EDGE; at < size - 1; at++) {
        int begins = inside[at] && !inside[at - 1];
        if (begins && at > EDGE && is_single(reading, at) && is_single(reading, at - 2)) {
            uint32_t gap = plain[at - 1];
            begins = gap != plain[at - 3] && gap != plain[at + 1];
        }
        if (present & UPPER)
            begins |= inside[at] && kinds[at] & UPPER && kinds[at - 1] & LOWER
                && kinds[at - 2] & LOWER && kinds[at + 1] & LOWER;
        reading->begins[at] = (uint8_t)begins;
    }
}

/* ------------------------------------------------------------------ letters */

/* The letters of the text, and after how many of them symbols stand and sentences end. Of what
 * is `whole` what stands between the words is kept too, of several blanks the first. A letter
 * that repeats the one before in its word is drawn out; digits may. */
static void keep_letters(const Reading *reading, int whole, Letters *letters)
{
    const uint16_t *kinds = reading->kinds;
    letters->size = letters->words = letters->symbols = letters->ends = 0;
    for (int64_t at = 0; at < reading->size; at++) {
        unsigned kind = kinds[at];
        int is_inside = reading->inside[at], begins = reading->begins[at];
        int32_t here = (int32_t)letters->size;
        uint32_t letter = reading->letter[at];
        if (kind & LINE || (kind & STOP && kinds[at + 1] & BLANK))
            letters->end[letters->ends++] = here;
        if (kind & SYMBOL) {
            int64_t symbol = letters->symbols++;
            letters->symbol[symbol] = reading->plain[at];
            letters->symbol_place[symbol] = reading->place[at];
            letters->symbol_after[symbol] = here;
        }
        if (!is_inside && !(whole && !(at && kind & BLANK && kinds[at - 1] & BLANK)))
            continue;
        if (is_inside && !begins && letter != NOUGHT && here && letters->plain[here - 1] == letter)
            continue;
        letters->plain[here] = letter;
        letters->marked[here] = reading->marked[at];
        letters->place[here] = reading->place[at];
        letters->spoken[here] = (uint8_t)is_inside;
        letters->begins[here] = (uint8_t)begins;
        if (begins)
            letters->first[letters->words++] = here;
        if (is_inside && letters->words)
            letters->last[letters->words - 1] = here;
        letters->size++;
    }
}

/* The part that each letter is in: a text is cut where sentences and lines end, if that leaves
 * enough letters on either side. */
static void find_parts(const Plan *plan, Letters *letters)
{
    int64_t cut = 0, part = 0;
    for (int64_t i = 0; i < letters->ends && part < plan->parts_apart; i++) {
        int64_t end = letters->end[i];
        if (end - cut < plan->part_letters || letters->size - end < plan->part_letters)
            continue;
        memset(letters->part + cut, (int)part, (size_t)(end - cut));
        cut = end;
        part++;
    }
    memset(letters->part + cut, (int)part, (size_t)(letters->size - cut));
    for (int64_t i = 0; i < letters->symbols; i++) {
        int64_t after = letters->symbol_after[i];
        letters->symbol_part[i] = after ? letters->part[after - 1] : 0;
    }
}

static void count(const Reading *reading, const Letters *letters, unsigned present, int64_t *counts)
{
    static const unsigned kinds[] = {UPPER, SYMBOL, LINE};
    int64_t run = 0;
    counts[0] = letters->size;
    counts[1] = counts[2] = 0;
    for (int64_t i = 0; i < letters->size; i++) {
        run = letters->plain[i] == NOUGHT ? run + 1 : 0;
        counts[1] += run > 0;
        counts[2] = run > counts[2] ? run : counts[2];
    }
    for (int column = 0; column < 3; column++) {
        int64_t found = 0;
        if (present & kinds[column])
            for (int64_t at = 0; at < reading->size; at++)
                found += (reading->kinds[at] & kinds[column]) != 0;
        counts[3 + column] = found;
    }
}

/* ------------------------------------------------------------------ n-grams */

/* Stafford's mix 13, the finaliser of SplitMix64. */
static uint64_t mixed(uint64_t hash)
{
    hash = (hash ^ hash >> 30) * 0xBF58476D1CE4E5B9u;
    hash = (hash ^ hash >> 27) * 0x94D049BB133111EBu;
    return hash ^ hash >> 31;
}

static void add(const Plan *plan, Grams *grams, uint64_t hash, uint8_t part, int32_t start,
                int32_t end)
{
    uint64_t place = mixed(hash) >> (64 - plan->bits), number = (uint64_t)grams->size++;
    if (plan->table)                    /* too large to stay near the processor */
        SOON(plan->table + place * (uint64_t)plan->heads);
    grams->key[number] = place << 40 | (uint64_t)part << 32 | number;
    grams->start[number] = start;
    grams->end[number] = end;
}

/* N-grams of characters; of ideographs and syllables those of one and two as well, as they say
 * as much as words. */
static void find_chars(const Plan *plan, const Letters *letters, uint64_t salt, Grams *grams)
{
    const uint32_t *plain = letters->plain;
    const int32_t *place = letters->place;
    const int64_t *lengths = plan->lengths[CHARS], several = plan->lengths_size[CHARS];
    for (int64_t i = 0; i < letters->size; i++) {
        const uint8_t part = letters->part[i];
        const int64_t left = letters->size - i;
        uint64_t hash = 0;
        if (plain[i] >= FIRST_SYLLABIC) {
            add(plan, grams, plain[i] ^ (salt + 1), part, place[i], place[i] + 1);
            if (left > 1 && plain[i + 1] >= FIRST_SYLLABIC)
                add(plan, grams, (plain[i] * BASE + plain[i + 1]) ^ (salt + 2), part, place[i],
                    place[i + 1] + 1);
        }
        for (int64_t which = 0, j = 0; which < several && lengths[which] <= left; which++) {
            for (; j < lengths[which]; j++)
                hash = hash * BASE + plain[i + j];
            add(plan, grams, hash ^ (salt + (uint64_t)j), part, place[i], place[i + j - 1] + 1);
        }
    }
}

/* Runs of words. A word is the sum of its codes, each times a power by its distance from the
 * word's start; what stands in it without being of it counts as a gap. */
static void find_words_of(const Plan *plan, Letters *letters, int kind, const uint64_t *salts,
                          Grams *grams)
{
    const uint32_t *codes = kind == WORDS ? letters->plain : letters->marked;
    const int64_t *lengths = plan->lengths[kind], several = plan->lengths_size[kind];
    int64_t symbol = 0;
    for (int64_t word = 0; several && word < letters->words; word++) {
        uint64_t hash = 0, power = 1;
        for (int64_t i = letters->first[word]; i <= letters->last[word]; i++, power *= BASE)
            hash += letters->spoken[i] ? codes[i] * power : 0;
        letters->hash[word] = hash;
    }
    /* Symbols in their turn, so that parts never fall. */
    for (int64_t word = 0; word <= letters->words; word++) {
        const int64_t left = letters->words - word;
        const int32_t first = left ? letters->first[word] : (int32_t)letters->size;
        for (; kind == WORDS && symbol < letters->symbols
               && letters->symbol_after[symbol] <= first; symbol++) {
            int32_t place = letters->symbol_place[symbol];
            add(plan, grams, letters->symbol[symbol] ^ salts[SYMBOLS],
                letters->symbol_part[symbol], place, place + 1);
        }
        uint64_t hash = left ? letters->hash[word] : 0;
        for (int64_t which = 0, j = 1; which < several && lengths[which] <= left; which++) {
            for (; j < lengths[which]; j++)
                hash = mixed(hash) * BASE + letters->hash[word + j];
            add(plan, grams, hash ^ (salts[kind] + (uint64_t)j), letters->part[first],
                letters->place[first], letters->place[letters->last[word + j - 1]] + 1);
        }
    }
}

/* Put keys in order by their places; they are in order by all that follows these.
 *
 * Few by insertion, more by counting the places' digits from the last. */
static void sort(uint64_t *keys, uint64_t *spare, int64_t size, int64_t bits)
{
    enum { FEW = 32, MOST_BITS = 10 };
    const int64_t passes = (bits + MOST_BITS - 1) / MOST_BITS;
    const int64_t width = (bits + passes - 1) / passes;
    const uint64_t mask = ((uint64_t)1 << width) - 1;
    uint64_t *from = keys, *to = spare;
    if (size <= FEW) {
        for (int64_t i = 1; i < size; i++) {
            uint64_t key = keys[i];
            int64_t j = i;
            for (; j && keys[j - 1] > key; j--)
                keys[j] = keys[j - 1];
            keys[j] = key;
        }
        return;
    }
    for (int64_t pass = 0; pass < passes; pass++) {
        uint32_t begin[1 << MOST_BITS] = {0}, sum = 0;
        const int64_t shift = 40 + pass * width;
        for (int64_t i = 0; i < size; i++)
            begin[from[i] >> shift & mask]++;
        for (uint64_t digit = 0; digit <= mask; digit++) {
            uint32_t here = begin[digit];
            begin[digit] = sum;
            sum += here;
        }
        for (int64_t i = 0; i < size; i++)
            to[begin[from[i] >> shift & mask]++] = from[i];
        uint64_t *swapped = from;
        from = to;
        to = swapped;
    }
    if (from != keys)
        memcpy(keys, from, (size_t)size * sizeof *keys);
}

/* ------------------------------------------------------------------ weighing */

/* What a text adds to each head, and the part that counts for it: -1 for none.
 *
 * The distinct n-grams of a kind have one length together: their share times 1/sqrt(their
 * number). A text counts as it is, but as far as the plan says for the part of it that says most
 * for a head, read as if that were the whole text: good talk around bad words hides less of them. */
typedef struct {
    int64_t parts;                      /* one more than the last one that an n-gram begins in */
    double odds[MOST_HEADS];
    int64_t worst[MOST_HEADS];
} Weighed;

static double scaled(double share, int64_t distinct)
{
    return share / sqrt((double)(distinct > 1 ? distinct : 1));
}

/* The end of those keys from `i` on that are the same but for what stands in the lowest bits. */
static int64_t alike(const Grams *grams, int64_t i, int low_bits)
{
    const uint64_t key = grams->key[i] >> low_bits;
    int64_t end = i + 1;
    while (end < grams->size && grams->key[end] >> low_bits == key)
        end++;
    return end;
}

static void weigh_kind(const Plan *plan, Grams *grams, double share, int64_t parts,
                       double *whole, double (*of_parts)[MOST_HEADS], uint8_t *is_there)
{
    const int64_t heads = plan->heads;
    double sums[MOST_HEADS] = {0};
    int64_t distinct = 0, distinct_in[MOST_PARTS];
    double sums_in[MOST_PARTS][MOST_HEADS];
    for (int64_t part = 0; part < parts; part++) {
        distinct_in[part] = 0;
        for (int64_t head = 0; head < heads; head++)
            sums_in[part][head] = 0;
    }
    for (int64_t i = 0, end; i < grams->size; i = end) {
        const float *weights = plan->table ? plan->table + PLACE_OF(grams->key[i]) * heads : NULL;
        end = alike(grams, i, 40);
        distinct++;
        for (int64_t head = 0; weights && head < heads; head++)
            sums[head] += weights[head];
        for (int64_t j = i; parts > 1 && j < end; j = alike(grams, j, 32)) {
            const int64_t part = PART_OF(grams->key[j]);
            distinct_in[part]++;
            for (int64_t head = 0; weights && head < heads; head++)
                sums_in[part][head] += weights[head];
        }
    }
    if (parts == 1)
        distinct_in[0] = distinct;
    grams->scale = scaled(share, distinct);
    for (int64_t head = 0; head < heads; head++)
        whole[head] += grams->scale * sums[head];
    for (int64_t part = 0; part < parts; part++) {
        grams->part_scale[part] = scaled(share, distinct_in[part]);
        is_there[part] |= distinct_in[part] > 0;
        for (int64_t head = 0; head < heads; head++)
            of_parts[part][head] += grams->part_scale[part] * sums_in[part][head];
    }
}

static int64_t parts_of(const Room *room)
{
    /* By n-grams, not by letters: a part may be too short for one to begin in it. They stand in
     * the order of the text, so the last of each kind tells. */
    int64_t parts = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        const Grams *grams = &room->grams[kind];
        int64_t last = grams->size ? (int64_t)PART_OF(grams->key[grams->size - 1]) + 1 : 0;
        parts = last > parts ? last : parts;
    }
    return parts;
}

static void weigh(const Plan *plan, Room *room, const double *shares, Weighed *weighed)
{
    double of_parts[MOST_PARTS][MOST_HEADS];
    uint8_t is_there[MOST_PARTS] = {0};
    memset(of_parts, 0, (size_t)weighed->parts * sizeof *of_parts);
    memset(weighed->odds, 0, sizeof weighed->odds);
    for (int kind = 0; kind < KINDS; kind++)
        weigh_kind(plan, &room->grams[kind], shares[kind], weighed->parts, weighed->odds,
                   of_parts, is_there);
    for (int64_t head = 0; head < plan->heads; head++) {
        int64_t worst = -1;
        for (int64_t part = 0; part < weighed->parts; part++)
            if (is_there[part] && (worst < 0 || of_parts[part][head] > of_parts[worst][head]))
                worst = part;
        if (plan->worst_part == 0 || weighed->parts < 2
            || !(of_parts[worst][head] > weighed->odds[head]))
            worst = -1;
        weighed->worst[head] = worst;
        if (worst >= 0)
            weighed->odds[head] = weighed->odds[head] * (1 - plan->worst_part)
                + of_parts[worst][head] * plan->worst_part;
    }
}

/* ------------------------------------------------------------------ explaining */

/* What n-grams of one place and part add, each of them. Few have copies, and a division is dear. */
static void added_by(const Plan *plan, const Grams *grams, const Weighed *weighed, uint64_t key,
                     int64_t copies, int64_t copies_in_part, double *added)
{
    const float *weights = plan->table + PLACE_OF(key) * plan->heads;
    const int64_t part = PART_OF(key);
    const double each = copies == 1 ? grams->scale : grams->scale / (double)copies;
    for (int64_t head = 0; head < plan->heads; head++) {
        added[head] = weights[head] * each;
        if (weighed->worst[head] >= 0) {
            added[head] *= 1 - plan->worst_part;
            if (weighed->worst[head] == part)
                added[head] += weights[head]
                    * (grams->part_scale[part] / (double)copies_in_part) * plan->worst_part;
        }
    }
}

/* What each n-gram adds, in the order of the text again. */
static void add_by_gram(const Plan *plan, const Weighed *weighed, Grams *grams)
{
    const int64_t heads = plan->heads;
    for (int64_t i = 0, end; i < grams->size; i = end) {
        end = alike(grams, i, 40);
        for (int64_t j = i, end_of_part; j < end; j = end_of_part) {
            double added[MOST_HEADS];
            end_of_part = alike(grams, j, 32);
            added_by(plan, grams, weighed, grams->key[j], end - i, end_of_part - j, added);
            for (int64_t k = j; k < end_of_part; k++)
                for (int64_t head = 0; head < heads; head++)
                    grams->added[NUMBER_OF(grams->key[k]) * heads + head] = added[head];
        }
    }
}

/* What each character adds to each head: an n-gram gives all that it stands on the same.
 *
 * Each notes by how much what characters add changes where it begins and ends. */
static void share_out(const Plan *plan, Room *room, const Weighed *weighed, int64_t characters)
{
    enum { SHORT = 32 };
    const int64_t heads = plan->heads;
    double *weight = room->weight, shares[SHORT];
    for (int64_t length = 1; length < SHORT; length++)
        shares[length] = 1.0 / (double)length;
    memset(weight, 0, (size_t)((characters + 1) * heads) * sizeof *weight);
    for (int kind = 0; kind < KINDS; kind++) {
        Grams *grams = &room->grams[kind];
        add_by_gram(plan, weighed, grams);
        for (int64_t i = 0; i < grams->size; i++) {
            const int64_t start = grams->start[i], end = grams->end[i];
            const int64_t length = end - start;
            const double each = 0 < length && length < SHORT ? shares[length]
                : 1.0 / (double)length;
            for (int64_t head = 0; head < heads; head++) {
                const double added = grams->added[i * heads + head] * each;
                weight[start * heads + head] += added;
                weight[end * heads + head] -= added;
            }
        }
    }
    for (int64_t at = heads; at < characters * heads; at++)
        weight[at] += weight[at - heads];
}

/* The words of a text as typed: what blanks part, and pieces of `longest_piece` where none do.
 * Blanks before the first word are one too. */
static void cut(const Density *density, const uint32_t *codes, int64_t size, Typed *typed)
{
    int64_t left = 0;                   /* of a piece */
    int was_shown = 0;
    int32_t shown_end = 0;
    typed->size = 0;
    for (int64_t at = 0; at < size; at++) {
        int is_shown = codes[at] >= density->blanks_size || !density->blanks[codes[at]];
        if (left == 0 || (is_shown && !was_shown)) {
            left = density->longest_piece;
            typed->start[typed->size++] = (int32_t)at;
        }
        if (is_shown)
            shown_end = (int32_t)at + 1;
        typed->shown_end[typed->size - 1] = shown_end;
        was_shown = is_shown;
        left--;
    }
}

/* Runs of neighbouring dense words, in order; an evenly dense text is one run. Dense is what
 * weighs `dense` of the mean positive weight of its text's characters. */
static int64_t find_runs(const Density *density, Typed *typed, int64_t size,
                         const double *weight, int64_t step)
{
    double above = 0, positive = 0;
    int64_t found = 0;
    int goes_on = 0;
    for (int64_t at = 0; at < size; at++)
        if (weight[at * step] > density->rounding) {
            above += weight[at * step];
            positive++;
        }
    /* Rounding must not part a text that is dense all over. */
    const double least = positive ? above / positive * (density->dense * (1 - 1e-9)) : 0;
    for (int64_t word = 0; word < typed->size; word++) {
        const int64_t start = typed->start[word];
        const int64_t end = word + 1 < typed->size ? typed->start[word + 1] : size;
        double sum = 0;
        for (int64_t at = start; at < end; at++)
            sum += weight[at * step];
        int is_dense = sum > density->rounding && sum >= least * (double)(end - start);
        if (is_dense && !goes_on)
            typed->run[found++] = (Run){start, start + 1, 0};
        if (is_dense) {
            Run *run = &typed->run[found - 1];
            if (run->end < typed->shown_end[word])  /* unless the whole run is blank */
                run->end = typed->shown_end[word];
            run->weight += sum;
        }
        goes_on = is_dense;
    }
    return found;
}

/* The heaviest runs of an owner's texts for each head; of equal ones the first. */
typedef struct { int64_t text; Run run; } Span;
typedef struct { int64_t size[MOST_HEADS]; Span span[MOST_HEADS][MOST_SPANS]; } Heaviest;

static void keep_heaviest(const Plan *plan, Heaviest *heaviest, int64_t head, Span span)
{
    Span *kept = heaviest->span[head];
    int64_t at = heaviest->size[head];
    if (at == plan->spans_per_head && !(kept[at - 1].run.weight < span.run.weight))
        return;
    at -= at == plan->spans_per_head;
    for (; at && kept[at - 1].run.weight < span.run.weight; at--)
        kept[at] = kept[at - 1];
    kept[at] = span;
    heaviest->size[head] += heaviest->size[head] < plan->spans_per_head;
}

static void tell_spans(const Plan *plan, Call *call, int64_t owner, Heaviest *heaviest)
{
    for (int64_t head = 0; head < plan->heads; head++)
        for (int64_t i = 0; i < heaviest->size[head]; i++) {
            const Span span = heaviest->span[head][i];
            const int64_t told[] = {owner, head, span.text, span.run.start, span.run.end};
            memcpy(call->spans + 5 * call->spans_found, told, sizeof told);
            call->span_weights[call->spans_found++] = span.run.weight;
        }
    memset(heaviest->size, 0, sizeof heaviest->size);
}

static void explain(const Plan *plan, Call *call, int64_t number, Room *room,
                    const Weighed *weighed, Heaviest *heaviest)
{
    const int64_t *text = call->texts + number * TEXT_COLUMNS;
    const int64_t size = text[TYPED_SIZE], heads = plan->heads;
    share_out(plan, room, weighed, size);
    if (call->asked & WEIGHTS)
        for (int64_t head = 0; head < heads; head++)
            for (int64_t at = 0; at < size; at++)
                call->weights[head * call->weights_size + text[TYPED] + at] =
                    room->weight[at * heads + head];
    if (!(call->asked & SPANS))
        return;
    cut(&plan->density, call->typed + text[TYPED], size, &room->typed);
    for (int64_t head = 0; head < heads; head++) {
        int64_t found = find_runs(&plan->density, &room->typed, size, room->weight + head,
                                  heads);
        for (int64_t i = 0; i < found; i++)
            keep_heaviest(plan, heaviest, head, (Span){number, room->typed.run[i]});
    }
}

/* ------------------------------------------------------------------ answers */

static void tell_reading(Call *call, int64_t number, const Reading *reading)
{
    int64_t at = number ? call->reading_ends[number - 1] : 0;
    for (int64_t i = EDGE; i < reading->size - EDGE; i++, at++) {
        call->reading_plain[at] = reading->plain[i];
        call->reading_marked[at] = reading->marked[i];
        call->reading_kinds[at] = reading->kinds[i];
        call->reading_places[at] = reading->place[i];
    }
    call->reading_ends[number] = at;
}

static void tell_letters(Call *call, int64_t number, const Letters *letters)
{
    int64_t at = number ? call->letter_ends[number - 1] : 0;
    int64_t symbol = number ? call->symbol_ends[number - 1] : 0;
    for (int64_t i = 0; i < letters->size; i++, at++) {
        call->plain[at] = letters->plain[i];
        call->marked[at] = letters->marked[i];
        call->places[at] = letters->place[i];
        call->parts[at] = letters->part[i];
        call->spoken[at] = letters->spoken[i];
        call->begins[at] = letters->begins[i];
    }
    for (int64_t i = 0; i < letters->symbols; i++, symbol++) {
        call->symbols[symbol] = letters->symbol[i];
        call->symbol_places[symbol] = letters->symbol_place[i];
        call->symbol_parts[symbol] = letters->symbol_part[i];
    }
    call->letter_ends[number] = at;
    call->symbol_ends[number] = symbol;
}

/* Each distinct n-gram of each kind, with what it counts. */
static void tell_row(Call *call, int64_t number, const Room *room)
{
    int64_t at = number ? call->row_ends[number - 1] : 0;
    for (int kind = 0; kind < KINDS; kind++) {
        const Grams *grams = &room->grams[kind];
        for (int64_t i = 0; i < grams->size; i = alike(grams, i, 40), at++) {
            call->row_places[at] = (int32_t)PLACE_OF(grams->key[i]);
            call->row_values[at] = (float)grams->scale;
        }
    }
    call->row_ends[number] = at;
}

/* Every n-gram as it stands in the text. */
static void tell_grams(Call *call, int64_t number, const Room *room)
{
    int64_t at = number ? call->gram_ends[number - 1] : 0;
    for (int kind = 0; kind < KINDS; kind++) {
        const Grams *grams = &room->grams[kind];
        for (int64_t i = 0, end; i < grams->size; i = end) {
            end = alike(grams, i, 40);
            for (int64_t j = i, end_of_part; j < end; j = end_of_part) {
                end_of_part = alike(grams, j, 32);
                for (int64_t k = j; k < end_of_part; k++) {
                    const int64_t gram = (int64_t)NUMBER_OF(grams->key[k]), to = at + gram;
                    const int64_t part = PART_OF(grams->key[k]);
                    call->gram_kinds[to] = kind;
                    call->gram_places[to] = (int64_t)PLACE_OF(grams->key[k]);
                    call->gram_starts[to] = grams->start[gram];
                    call->gram_finishes[to] = grams->end[gram];
                    call->gram_parts[to] = part;
                    call->gram_values[to] = grams->scale / (double)(end - i);
                    call->gram_part_values[to] =
                        grams->part_scale[part] / (double)(end_of_part - j);
                }
            }
        }
        at += grams->size;
    }
    call->gram_ends[number] = at;
}

/* ------------------------------------------------------------------ all of it */

static void pass(const Plan *plan, Call *call, int64_t number, Room *room, Heaviest *heaviest)
{
    const int64_t *text = call->texts + number * TEXT_COLUMNS;
    const uint64_t *salts = plan->salts + text[FIELD] * (KINDS + 1);
    Letters *letters = &room->letters;
    Weighed weighed;
    const unsigned present = read_text(plan, call, text, &room->reading);
    undo_leet(plan, &room->reading, present);
    find_words(&room->reading, present);
    keep_letters(&room->reading, text[FIELD] != 0, letters);
    find_parts(plan, letters);
    count(&room->reading, letters, present, call->counts + number * COUNTED);
    if (call->asked & READINGS)
        tell_reading(call, number, &room->reading);
    if (call->asked & ALL_LETTERS)
        tell_letters(call, number, letters);
    for (int kind = 0; kind < KINDS; kind++)
        room->grams[kind].size = 0;
    find_chars(plan, letters, salts[CHARS], &room->grams[CHARS]);
    find_words_of(plan, letters, WORDS, salts, &room->grams[WORDS]);
    find_words_of(plan, letters, MARKED, salts, &room->grams[MARKED]);
    weighed.parts = parts_of(room);
    for (int kind = 0; kind < KINDS; kind++)
        sort(room->grams[kind].key, room->spare, room->grams[kind].size, plan->bits);
    weigh(plan, room, plan->shares + text[FIELD] * KINDS, &weighed);
    memcpy(call->odds + number * plan->heads, weighed.odds,
           (size_t)plan->heads * sizeof *weighed.odds);
    if (call->asked & ROWS)
        tell_row(call, number, room);
    if (call->asked & GRAMS)
        tell_grams(call, number, room);
    if (call->asked & (SPANS | WEIGHTS))
        explain(plan, call, number, room, &weighed, heaviest);
}

/* Read texts, and tell what is asked for: DONE, or what has to be done before the next try. */
EXPORTED int duyet_read(const Plan *plan, Call *call)
{
    int64_t characters = 0, grams = 0, unknown = 0, most_read = 0, most_typed = 0;
    Room room;
    Heaviest heaviest;
    for (int64_t number = 0; number < call->texts_size; number++) {
        const int64_t *text = call->texts + number * TEXT_COLUMNS;
        const int64_t read = measured(plan, call, text, &unknown), typed = text[TYPED_SIZE];
        if (read > LONGEST_READING || typed > LONGEST_READING || text[FIELD] < 0
            || text[FIELD] >= plan->fields)
            return IMPOSSIBLE;
        most_read = read > most_read ? read : most_read;
        most_typed = typed > most_typed ? typed : most_typed;
        characters += read;
        for (int kind = 0; kind < KINDS; kind++)
            grams += most_grams(plan, kind, read);
    }
    if (unknown) {
        call->unknown_size = unknown < call->unknown_size ? unknown : call->unknown_size;
        return UNKNOWN_CHARACTERS;
    }
    const int64_t needed = divide(plan, most_read, most_typed, NULL, &room);
    const int is_enough = needed <= call->room_size
        && (characters <= call->characters_size || !(call->asked & (ALL_LETTERS | READINGS)))
        && (grams <= call->grams_size || !(call->asked & (ROWS | GRAMS)));
    call->room_size = needed;
    call->characters_size = characters;
    call->grams_size = grams;
    if (!is_enough)
        return MORE_ROOM;
    OPEN(call->room, needed);
    divide(plan, most_read, most_typed, call->room, &room);
    call->spans_found = 0;
    memset(heaviest.size, 0, sizeof heaviest.size);
    for (int64_t number = 0; number < call->texts_size; number++) {
        const int64_t *text = call->texts + number * TEXT_COLUMNS;
        pass(plan, call, number, &room, &heaviest);
        if (number + 1 == call->texts_size || text[TEXT_COLUMNS + OWNER] != text[OWNER])
            tell_spans(plan, call, text[OWNER], &heaviest);
    }
    return DONE;
}

/* What is added up for each of some owners. */
typedef struct {
    const int64_t *texts;               /* as above */
    int64_t texts_size;
    const double *odds;                 /* what each text adds to each head */
    const int64_t *places, *owners;     /* where in the table each sign is, and whose it is */
    int64_t signs_size;
    double share;                       /* what each sign counts */
    double *log_odds;                   /* of each owner: in: the bias, out: the sum */
    int64_t owners_size;
} Sum;

/* Add up the log-odds: DONE, or IMPOSSIBLE where something is beyond the table or the owners. */
EXPORTED int duyet_sum(const Plan *plan, const Sum *sum)
{
    const int64_t heads = plan->heads, table_size = (int64_t)1 << plan->bits;
    for (int64_t i = 0; i < sum->signs_size; i++) {
        const int64_t place = sum->places[i], owner = sum->owners[i];
        if (place < 0 || place >= table_size || owner < 0 || owner >= sum->owners_size)
            return IMPOSSIBLE;
        for (int64_t head = 0; head < heads; head++)
            sum->log_odds[owner * heads + head] += sum->share * plan->table[place * heads + head];
    }
    for (int64_t i = 0; i < sum->texts_size; i++) {
        const int64_t owner = sum->texts[i * TEXT_COLUMNS + OWNER];
        if (owner < 0 || owner >= sum->owners_size)
            return IMPOSSIBLE;
        for (int64_t head = 0; head < heads; head++)
            sum->log_odds[owner * heads + head] += sum->odds[i * heads + head];
    }
    return DONE;
}

/* The runs of one text for weights of its characters; `start` and `shown_end` are room for as
 * many numbers as it has characters, `runs` for as many runs. How many there are comes back. */
EXPORTED int64_t duyet_runs(const Density *density, const uint32_t *codes, int64_t size,
                            const double *weights, int32_t *start, int32_t *shown_end, Run *runs)
{
    Typed typed = {0, start, shown_end, runs};
    cut(density, codes, size, &typed);
    return find_runs(density, &typed, size, weights, 1);
}
