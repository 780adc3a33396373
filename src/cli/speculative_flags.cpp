#include "cli/speculative_flags.h"

#include "base/error.h"
#include "cli/options.h"

namespace tessera::cli {

void add_speculative_flags(CLI::App& app, SpeculativeFlags& flags) {
  add_option(app, "--speculative", flags.mode,
             "none, or lookup: guess that text repeats itself and check several tokens at once; the text is "
             "the same, only sooner");
  add_option(app, "--draft-max", flags.draft_max, "with --speculative: tokens guessed at once, at most");
}

engine::SpeculativeOptions speculative_options(const SpeculativeFlags& flags) {
  if (flags.mode != "none" && flags.mode != "lookup") {
    fail(ErrorKind::bad_usage, "--speculative: expected none or lookup, found '{}'", printable(flags.mode));
  }
  if (flags.draft_max < 1 || flags.draft_max > engine::kMostDraftTokens) {
    fail(ErrorKind::bad_usage, "--draft-max: expected 1 to {} tokens, found {}", engine::kMostDraftTokens,
         flags.draft_max);
  }
  return {.prompt_lookup = flags.mode == "lookup", .draft_max = flags.draft_max};
}

std::string drafts_text(const engine::DraftCounts& drafts) {
  if (drafts.drafted == 0) return {};
  return fmt::format(", drafts {} of {} right", drafts.accepted, drafts.drafted);
}

}  // namespace tessera::cli
