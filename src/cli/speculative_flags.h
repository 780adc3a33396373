// The flags that let a model check guesses, shared by the commands that generate text.
#pragma once
#include <cstdint>
#include <string>

#include "engine/request.h"

namespace CLI {
class App;
}

namespace tessera::cli {

struct SpeculativeFlags {
  std::string mode = "none";  // or "lookup"
  std::int64_t draft_max = engine::SpeculativeOptions().draft_max;
};

// Adds --speculative and --draft-max.
void add_speculative_flags(CLI::App& app, SpeculativeFlags& flags);

// Error bad_usage: a mode or a length that there is not.
engine::SpeculativeOptions speculative_options(const SpeculativeFlags& flags);

// ", drafts 120 of 150 right"; empty when none were made.
std::string drafts_text(const engine::DraftCounts& drafts);

}  // namespace tessera::cli
