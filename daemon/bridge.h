// SPDX-License-Identifier: MIT
// The one border between C and Lua. Read by gcc, by ffi.cdef at run time (this text is embedded) and by the specs: no includes, no
// macros. Plain C types only; nothing here throws, calls back, or keeps a pointer beyond its batch. Everything belongs to the
// front thread while a batch is filled and transformed; back only reads what is below, after the hand-over.
#pragma once

enum { ONCED_BRIDGE_VERSION = 1 }; // the Lua half refuses to load on another one

struct onced_header {
    const char *name;
    const char *data;  // NULL: a null value
    int32_t name_size; // bytes, without a terminator
    int32_t data_size; // -1: null
};

struct onced_headers {
    struct onced_header *list;
    int32_t count;
    int32_t bytes; // of names and data
};

// A consumed record. Pointers go into librdkafka's message, which the batch holds until it is settled.
struct onced_record {
    const char *key_data;   // NULL: no key
    const char *value_data; // NULL: tombstone
    int64_t at;             // offset
    int64_t time;           // milliseconds since 1970, -1: none
    int32_t key_size;       // bytes; -1: null
    int32_t value_size;     // bytes; -1: null
    int32_t topic_index;    // in onced_batch.input_topics
    int32_t partition;
    void *message; // rd_kafka_message_t
};

// A record to be produced. Pointers go into a source record of the same batch or into the batch's arena.
struct onced_output {
    const char *key_data, *value_data;
    struct onced_header *headers; // header_count of them, in the arena (static ones point at the configuration's text)
    int64_t time;                 // milliseconds since 1970
    int32_t key_size, value_size; // bytes; -1: null
    int32_t header_count;         // -1: the headers of the source record, as they came
    int32_t partition;            // -1: murmur2 of the key as Java's; without a key by the source's partition number
    int32_t topic_index;          // in onced_batch.output_topics
    int32_t source;               // index of the record it came from; for a table sent by process_batch the slice's last
};

// An output topic as the sink knows it; the last one is the dead-letter topic where there is one.
struct onced_topic {
    const char *name;
    int32_t max_message_bytes; // what the broker accepts, batch overhead included
    int32_t partition_count;   // 0: not known yet
};

struct onced_batch {
    struct onced_record *records;
    struct onced_output *outputs;
    const char *const *input_topics;
    const struct onced_topic *output_topics; // refreshed by the sink between transactions
    char *arena_next, *arena_end;            // bump allocation; more by onced_arena_more
    int64_t number;                          // of this filling: a lent record of another one is refused
    int64_t bytes;                           // of outputs appended so far (key, value, headers)
    int32_t record_count, output_count, output_capacity, input_topic_count, output_topic_count;
};

// One slice on its way through Lua. C sets batch to now_ms before it calls the runner; the runner keeps the rest while it works, so
// that whoever takes over after an error knows the record and what has to be taken back.
struct onced_turn {
    struct onced_batch *batch; // NULL: outside of a slice
    int64_t *note_offset;      // of the shared page; the record that is being transformed, or a stretch's first
    int64_t now_ms;            // wall clock at the slice's start: the time of records that have none
    int64_t mark_bytes;        // batch.bytes and output_count before the present record
    int32_t mark;
    int32_t generation;         // of the batch, as the records that are lent carry it; 0: none is valid
    int32_t first, last;        // records [first, last) are this slice
    int32_t current;            // the record being transformed; last when all are done
    int32_t current_last;       // with process_batch the end of the stretch being transformed, else current + 1
    int32_t topic, partition;   // of the note; topic -1: none yet
    int32_t outputs_per_record; // limit
    int32_t stretches;          // the hook is process_batch: an output may come from any record of its stretch
};

// Room for `size` more contiguous bytes from arena_next on. 0, or -1 with *error set (static text).
int onced_arena_more(struct onced_batch *batch, int64_t size, const char **error);
// Doubles the outputs' capacity. 0, or -1 with *error set.
int onced_outputs_more(struct onced_batch *batch, const char **error);
// How many partitions an output topic has by now, of which partition_count knows fewer: asks the brokers, so it may take a second. 0: no
// answer.
int32_t onced_partitions(struct onced_batch *batch, int32_t topic_index);
// The headers of a record, parsed at the first call; they live in the arena. Returns their number, or -1 with *error set.
int onced_record_headers(struct onced_batch *batch, int32_t record, struct onced_header **headers, const char **error);
// Its last header of that name, NULL when there is none or, with *error set, on failure.
const struct onced_header *onced_record_header(struct onced_batch *batch, int32_t record, const char *name, int32_t name_size,
                                               const char **error);
// `base` without the names that `own` has, followed by `own`; the list is in the arena. 0, or -1 with *error set.
int onced_headers_merge(struct onced_batch *batch, const struct onced_header *base, int32_t base_count, const struct onced_header *own,
                        int32_t own_count, struct onced_headers *merged, const char **error);

// Moves the note to another partition or stretch, which begins with `record`, under its sequence number.
void onced_note_move(struct onced_turn *turn, int32_t record);
// The present record failed: its outputs are taken back and the pipeline's policy for `kind` is applied. `place` is script:line, `stack`
// the lines that led there, "" when there were none.
// 0: go on with the next record; 1: the pipeline halts, leave the slice.
int onced_record_failed(struct onced_turn *turn, const char *kind, const char *place, const char *stack, const char *message,
                        int64_t message_size);
// LuaJIT gave up on compiling something of the script's.
void onced_trace_aborted(struct onced_turn *turn);
// The present record (or stretch) was dropped on purpose: its outputs are taken back and it is counted, in the series of its reason.
void onced_record_dropped(struct onced_turn *turn, int32_t reason);
// The series of a reason to drop.
int32_t onced_drop_reason(struct onced_turn *turn, const char *reason, int64_t size);
// The series of a script's own counter; -1: there are too many, or the text is too long.
int32_t onced_counter(struct onced_turn *turn, const char *text, int64_t size);
// Counts at commit, on behalf of the present record. 0, or -1: out of memory.
int onced_count(struct onced_turn *turn, int32_t series, double amount);
// What the present record (or stretch) has done is undone: it is run anew.
void onced_take_back(struct onced_turn *turn);

struct texts;
// A file that the transform is made of: as it was validated, else as it was read first. NULL: it can't be read.
const char *onced_file_read(struct texts *texts, const char *path, int64_t *size);

int64_t onced_now(void); // wall clock, milliseconds since 1970
// A log line of the script; level as in syslog (3 error, 4 warning, 6 info, 7 debug).
void onced_log(int level, const char *text, int64_t size);

// --- codecs: `to` has room for the longest result; decoding returns the size, or -1 with *error and *at, the byte it speaks of -----------

int64_t onced_base64_encode(const char *data, int64_t size, int url, char *to); // url: RFC 4648 section 5, without padding
int64_t onced_base64_decode(const char *data, int64_t size, int url, char *to, const char **error, int64_t *at);
void onced_hex_encode(const char *data, int64_t size, char *to);
int64_t onced_hex_decode(const char *data, int64_t size, char *to, const char **error, int64_t *at);
// SHA-256, with a key (not NULL) HMAC of it: 32 bytes.
void onced_sha256(const char *key, int64_t key_size, const char *data, int64_t size, char *digest);
// RFC 3339. 0, or -1 with *error, the end of a sentence.
int onced_time_parse(const char *text, int64_t size, int64_t *ms, const char **error);
int onced_time_format(int64_t ms, char *to); // 24 bytes. 0, or -1: no year of four digits
// The UUID of a record of the turn's batch and a number: 36 bytes.
void onced_uuid(const struct onced_turn *turn, int32_t record, int32_t number, char *to);

// --- JSON: a document is the text itself and an index of its values; edits are kept apart until the text is composed ------------------

// The first nine are what nodes are; onced_json_get and _value answer with any (a number's size decides between the last three).
enum {
    ONCED_JSON_MISSING,
    ONCED_JSON_NULL,
    ONCED_JSON_FALSE,
    ONCED_JSON_TRUE,
    ONCED_JSON_STRING,
    ONCED_JSON_ARRAY,
    ONCED_JSON_OBJECT,
    ONCED_JSON_KEY, // its value is the next node
    ONCED_JSON_NUMBER,
    ONCED_JSON_INT64,  // beyond 2^53 only
    ONCED_JSON_UINT64, // beyond INT64_MAX only
    ONCED_JSON_FAILED = -1,
};

struct onced_json_node {
    uint32_t at, end; // its bytes in the text, quotes included
    uint32_t next;    // the node behind this one and all that is in it
    uint16_t kind;
    uint16_t flags; // a string or key with escapes; a number without fraction and exponent
};

struct onced_json_buffer {
    char *data;
    int64_t size, capacity;
};

struct onced_json {
    const char *text; // what the nodes speak of, NULL: nothing is open
    int64_t size;
    struct onced_json_node *nodes; // [0] is the whole; a container's first child follows it
    struct onced_json_buffer out;  // what was put: values of edits, or an encoded text
    int64_t composed_size;         // of the text with its edits
    const char *error;             // of the call that failed, static text
    int64_t error_at;              // the byte it speaks of, from 0; -1: none
    const char *data;              // what get and value found: a string without its quotes and escapes,
    int64_t data_size;
    double number;     // a number,
    int64_t integer;   // an INT64, or the bits of a UINT64,
    int32_t node;      // the node of a container
    int32_t edits;     // not composed yet
    int64_t mark;      // out from here on isn't an edit's yet
    int64_t size_most; // limits of what is opened
    int32_t depth_most;
    int32_t record, generation, changed; // Lua's note of whose text it is, and that it isn't as it came
};

struct onced_json *onced_json_new(void); // NULL: out of memory
void onced_json_free(struct onced_json *json);
// Checks and indexes `text`, which must stay until the next open. 0, or -1 with error.
int onced_json_open(struct onced_json *json, const char *text, int64_t size);
// The value that a JSON Pointer names: its kind, MISSING or FAILED.
int onced_json_get(struct onced_json *json, const char *pointer, int64_t pointer_size);
int onced_json_value(struct onced_json *json, int32_t node);
int32_t onced_json_member(struct onced_json *json, int32_t object, const char *name, int64_t size); // the value's node, -1: none
// What was put since the last edit becomes the value there: replaced, added to an object, or appended to an array ("/list/-").
int onced_json_set(struct onced_json *json, const char *pointer, int64_t pointer_size);
int onced_json_remove(struct onced_json *json, const char *pointer, int64_t pointer_size); // 1: it was there
// Writes the text with its edits, composed_size bytes. The document stays as it is.
void onced_json_compose(const struct onced_json *json, char *to);
// The text with its edits becomes what the nodes speak of.
int onced_json_settle(struct onced_json *json);
// Append to `out`: 0, or -1 with error; `raw` is the caller's to get right.
int onced_json_put(struct onced_json *json, const char *raw, int64_t size);
int onced_json_put_string(struct onced_json *json, const char *text, int64_t size);
int onced_json_put_number(struct onced_json *json, double number);
int onced_json_put_int64(struct onced_json *json, int64_t number);
int onced_json_put_uint64(struct onced_json *json, uint64_t number);
