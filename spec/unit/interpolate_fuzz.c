// SPDX-License-Identifier: MIT
// Interpolation of any scalar against a second reading of the rules, which are in interpolate.h. The input is a scalar, the value of the
// variable V, and the contents of the file `f` and of the credential `c`, with NUL between them. What is put in must be there to the
// byte, what is wrong must leave the node unknown, and what came from a file must be marked as a secret. A target of libFuzzer, run by
// spec/fuzz in a folder of its own.
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "interpolate.h"

enum { TEXT, VARIABLE, FILE_F, CREDENTIAL_C, PARTS };

struct part {
    char *text; // with a NUL behind it
    size_t size;
};

struct expected {
    char text[1 << 19]; // 4096 bytes of input, half of them references to the other half
    size_t size;
    int secret, unknown;
};

// A strict decoder of its own, by RFC 3629.
static int is_utf8(const char *text, size_t size)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < size;) {
        unsigned char first = (unsigned char)text[i++];
        int more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : first >> 3 == 30 ? 3 : -1;
        if (more < 0)
            return 0;
        uint32_t code = more ? first & (0x3fU >> more) : first;
        for (int j = 0; j < more; j++, i++) {
            if (i == size || (text[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | ((unsigned char)text[i] & 0x3f);
        }
        if (code < least[more] || code > 0x10ffff || code >> 11 == 0x1b)
            return 0;
    }
    return 1;
}

static void expect(struct expected *e, const char *text, size_t size)
{
    if (size > sizeof e->text - e->size)
        finding("more is expected than there is room for");
    memcpy(e->text + e->size, text, size);
    e->size += size;
}

static void expect_content(struct expected *e, const struct part *part)
{
    size_t size = part->size && part->text[part->size - 1] == '\n' ? part->size - 1 : part->size;
    if (is_utf8(part->text, size))
        expect(e, part->text, size);
    else
        e->unknown = 1;
}

static int is(const char *name, size_t size, const char *word)
{
    return size == strlen(word) && memcmp(name, word, size) == 0;
}

// ${NAME}, of `size` bytes. All variables but V are unset, and there are no other files.
static void expect_reference(struct expected *e, const struct part *parts, const char *name, size_t size)
{
    if (size > 4 && memcmp(name, "env:", 4) == 0) {
        const char *variable = name + 4, *fallback = memmem(variable, size - 4, ":-", 2), *end = name + size;
        const struct part *value = is(variable, (size_t)((fallback ? fallback : end) - variable), "V") ? &parts[VARIABLE] : NULL;
        if (fallback && (!value || !value->size))
            expect(e, fallback + 2, (size_t)(end - fallback - 2));
        else if (value && is_utf8(value->text, value->size))
            expect(e, value->text, value->size);
        else
            e->unknown = 1;
        return;
    }
    int is_file = size > 5 && memcmp(name, "file:", 5) == 0, is_credential = size > 5 && memcmp(name, "cred:", 5) == 0;
    e->secret |= is_file || is_credential;
    if ((is_file && is(name + 5, size - 5, "f")) || (is_credential && is(name + 5, size - 5, "c")))
        expect_content(e, &parts[is_file ? FILE_F : CREDENTIAL_C]);
    else
        e->unknown = 1;
}

static void expect_text(struct expected *e, const struct part *parts)
{
    e->size = 0;
    e->secret = e->unknown = 0;
    for (const char *at = parts[TEXT].text; *at; at++) {
        const char *close = strncmp(at, "${", 2) ? NULL : strchr(at, '}');
        if (close) {
            expect_reference(e, parts, at + 2, (size_t)(close - at - 2));
            at = close;
        } else if (strncmp(at, "${", 2) == 0) {
            e->unknown = 1;
            return;
        } else {
            expect(e, at, 1);
            at += strncmp(at, "$$", 2) == 0;
        }
    }
}

static void file_write(const char *name, const struct part *part)
{
    FILE *file = fopen(name, "w");
    if (!file || fwrite(part->text, 1, part->size, file) != part->size || fclose(file))
        finding("%s can't be written: %s", name, strerror(errno));
}

static void text_check(const struct part *parts)
{
    static struct expected expected;
    struct pool pool = {0};
    FILE *nowhere = fopen("/dev/null", "w");
    struct report *report = report_new(REPORT_TEXT, nowhere);
    struct yaml_node node = {.kind = YAML_TEXT, .text = parts[TEXT].text};
    interpolate_file(&pool, report, &(struct yaml_file){.name = "a.yaml", .root = &node, .first = &node});
    expect_text(&expected, parts);
    if (node.unknown != expected.unknown || !node.unknown != !report_errors(report))
        finding("%s: it is %sknown, after %d errors", parts[TEXT].text, node.unknown ? "un" : "", report_errors(report));
    if (!node.unknown && (strlen(node.text) != expected.size || memcmp(node.text, expected.text, expected.size)))
        finding("%s became %s", parts[TEXT].text, node.text);
    if (node.secret != expected.secret)
        finding("%s: it is %s secret", parts[TEXT].text, node.secret ? "a" : "no");
    report_print(report);
    report_free(&report);
    fclose(nowhere);
    pool_fini(&pool);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    mkdir("cred", 0700);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct part parts[PARTS];
    const char *at = (const char *)data, *end = at + size;
    for (int i = 0; i < PARTS; i++) {
        const char *stop = memchr(at, 0, (size_t)(end - at));
        parts[i].size = (size_t)((stop ? stop : end) - at);
        parts[i].text = strndup(at, parts[i].size);
        at = stop ? stop + 1 : end;
    }
    clearenv();
    setenv("V", parts[VARIABLE].text, 1);
    setenv("CREDENTIALS_DIRECTORY", "cred", 1);
    file_write("f", &parts[FILE_F]);
    file_write("cred/c", &parts[CREDENTIAL_C]);
    if (is_utf8(parts[TEXT].text, parts[TEXT].size)) // what isn't doesn't leave yaml_tree.c
        text_check(parts);
    for (int i = 0; i < PARTS; i++)
        free(parts[i].text);
    return 0;
}
