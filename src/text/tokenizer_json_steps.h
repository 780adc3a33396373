// The parts of a tokenizer.json that surround its model, read into the steps that run them.
#pragma once
#include "text/decoder.h"
#include "text/json_node.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/vocabulary.h"

namespace tessera::text {

// Each adds what `node` describes (Sequence: its members in order). Error unsupported for a kind this build
// does not know, bad_input for one that lacks what it needs; both name file, key and byte.
void read_normalizer(const JsonNode& node, Normalizer& normalizer, int depth = 0);
void read_pre_tokenizer(const JsonNode& node, PreTokenizer& pre_tokenizer, int depth = 0);
void read_post_processor(const JsonNode& node, const Vocabulary& vocabulary, PostProcessor& post_processor,
                         int depth = 0);
void read_decoder(const JsonNode& node, Decoder& decoder, int depth = 0);

}  // namespace tessera::text
