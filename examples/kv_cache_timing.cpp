// What the key/value cache is worth: the same tokens, generated with it, and without it by computing the
// whole text anew for each. kv_cache_timing [MODEL [TOKENS]]
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "base/error.h"
#include "engine/generator.h"
#include "hub/model_directory.h"

using namespace tessera;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int main(int argc, char** argv) {
  try {
    const std::string path = argc > 1 ? hub::resolve_model(argv[1]) : hub::default_model();
    const int count = argc > 2 ? std::atoi(argv[2]) : 16;
    const auto model = std::make_shared<const engine::LoadedModel>(engine::load_model(path));
    engine::Generator generator(model, {.context_size = 512});
    engine::Request request{
        .prompt = generator.tokenizer().encode("The cache keeps what the past has computed, so that"),
        .sampling = {.temperature = 0},
        .max_new_tokens = count,
        .ignore_end_of_generation = true};

    auto start = std::chrono::steady_clock::now();
    engine::Sequence sequence = generator.new_sequence();
    const engine::GenerationResult with = generator.generate(sequence, request);
    const double with_seconds = seconds_since(start);

    start = std::chrono::steady_clock::now();
    request.max_new_tokens = 1;
    std::vector<TokenId> without;
    while (static_cast<int>(without.size()) < count) {
      engine::Sequence fresh = generator.new_sequence();  // knows nothing: all of it is computed
      without.push_back(generator.generate(fresh, request).tokens.front().token);
      request.prompt.push_back(without.back());
    }
    const double without_seconds = seconds_since(start);

    bool equal = with.tokens.size() == without.size();
    for (std::size_t i = 0; equal && i < without.size(); ++i) equal = with.tokens[i].token == without[i];
    std::printf(
        "%d tokens with the cache: %.3f s, without: %.3f s, %.1f times as long; the same tokens: %s\n", count,
        with_seconds, without_seconds, without_seconds / with_seconds, equal ? "yes" : "no");
    return equal ? 0 : 1;
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
