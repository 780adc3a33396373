// GET /metrics read as Prometheus reads it, and what stands there after known requests.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "serve/json_fields.h"
#include "support/test_paths.h"
#include "toy_service.h"

namespace tessera::serve {
namespace {

using testing::answer_of;
using testing::post;

// Samples by name with labels, and the type of each family.
struct Exposition {
  std::map<std::string, double> samples;
  std::map<std::string, std::string> types;
  double operator[](const std::string& name) const {
    const auto found = samples.find(name);
    EXPECT_NE(found, samples.end()) << "no " << name;
    return found == samples.end() ? -1 : found->second;
  }
};

std::string family_of(const std::string& name, const std::map<std::string, std::string>& types) {
  for (const char* suffix : {"_bucket", "_sum", "_count"}) {
    if (!name.ends_with(suffix)) continue;
    const std::string base = name.substr(0, name.size() - std::string_view(suffix).size());
    if (types.contains(base) && types.at(base) == "histogram") return base;
  }
  return name;
}

// The text format 0.0.4: HELP and TYPE once before the samples of a family, which stand together; every
// sample once.
Exposition parse(const std::string& text) {
  static const std::regex kSample(R"re(([a-z_:][a-z0-9_:]*)(\{([a-z_]+="[^"\\\n]*",?)*\})? (\S+))re");
  Exposition read;
  std::set<std::string> helped;
  std::string family;
  EXPECT_EQ(text.back(), '\n');
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string mark;
    std::string what;
    std::string name;
    std::smatch sample;
    if (line.starts_with("# ")) {
      words >> mark >> what >> name;
      if (what == "HELP") {
        EXPECT_TRUE(helped.insert(name).second) << line;
        family = name;
        continue;
      }
      std::string type;
      words >> type;
      EXPECT_EQ(what, "TYPE") << line;
      EXPECT_EQ(name, family) << line;
      EXPECT_TRUE(type == "counter" || type == "gauge" || type == "histogram") << line;
      EXPECT_EQ(type == "counter", name.ends_with("_total")) << line;
      read.types[name] = type;
    } else if (std::regex_match(line, sample, kSample)) {
      EXPECT_EQ(family_of(sample[1], read.types), family) << line;
      EXPECT_TRUE(read.types.contains(family)) << line;
      std::size_t end = 0;
      const double value = std::stod(sample[4], &end);
      EXPECT_EQ(end, sample[4].str().size()) << line;
      EXPECT_TRUE(read.samples.emplace(sample[1].str() + sample[2].str(), value).second) << line;
    } else {
      ADD_FAILURE() << "neither a comment nor a sample: " << line;
    }
  }
  return read;
}

// Buckets only grow, up to the count.
void expect_histogram(const std::string& text, const std::string& name, double count) {
  const Exposition read = parse(text);
  EXPECT_EQ(read.types.at(name), "histogram");
  EXPECT_EQ(read[name + "_count"], count) << name;
  EXPECT_EQ(read[name + "_bucket{le=\"+Inf\"}"], count) << name;
  EXPECT_GE(read[name + "_sum"], 0);
  double last = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name + "_bucket")) continue;
    const double here = std::stod(line.substr(line.rfind(' ')));
    EXPECT_GE(here, last) << line;
    last = here;
  }
}

std::string metrics_of(Service& service) {
  const auto answer = answer_of(
      service, {.method = "GET", .path = "/metrics", .query = "", .headers = {{"host", "localhost"}}});
  EXPECT_EQ(answer.head->content_type, "text/plain; version=0.0.4; charset=utf-8");
  return answer.head->body;
}

TEST(Metrics, TellOfEveryLatencyAndCount) {
  const auto backend = testing::toy_backend();
  Service service(testing::served_by(*backend), ServiceOptions{});
  const std::string prompt(39, 'p');  // 40 tokens with the one that begins a text
  const auto ask = [&](int n) {
    const Json body = {{"prompt", prompt}, {"max_tokens", 5}, {"n", n}};
    EXPECT_EQ(answer_of(service, post("/v1/completions", body.dump())).head->status, 200);
  };
  ask(1);
  ask(2);
  backend->stop();  // its counts are final then
  const std::string text = metrics_of(service);
  const Exposition read = parse(text);
  EXPECT_EQ(read["tessera_ready"], 1);
  EXPECT_EQ(read["tessera_requests_waiting"], 0);
  EXPECT_EQ(read["tessera_requests_running"], 0);
  EXPECT_EQ(read["tessera_prompt_tokens_total"], 80);
  EXPECT_EQ(read["tessera_prompt_tokens_cached_total"], 39);
  EXPECT_EQ(read["tessera_completion_tokens_total"], 15);
  EXPECT_EQ(read["tessera_generated_tokens_total"], 15);
  EXPECT_EQ(read["tessera_answers_total"], 3);
  EXPECT_EQ(read["tessera_answers_cancelled_total"], 0);
  EXPECT_EQ(read["tessera_preemptions_total"], 0);
  EXPECT_EQ(read["tessera_cache_tokens"], 4 * 256);
  EXPECT_EQ(read["tessera_cache_tokens_used"], 0);
  EXPECT_GT(read["tessera_cache_tokens_prefixes"], 0);
  expect_histogram(text, "tessera_queue_seconds", 3);                // answers
  expect_histogram(text, "tessera_time_to_first_token_seconds", 2);  // requests
  expect_histogram(text, "tessera_token_gap_seconds", 3 * 4);        // of five tokens each
  expect_histogram(text, "tessera_generation_seconds", 2);
  EXPECT_FALSE(read.types.contains("tessera_disk_cache_bytes"));  // there is none
}

TEST(Metrics, TellOfTheCacheOnDisk) {
  const tessera::testing::TemporaryFolder folder;
  const auto serve_once = [&] {
    EngineBackendOptions options = testing::toy_options(256, 8, 8);
    options.engine.disk_cache =
        engine::DiskCacheOptions{.folder = folder.path().string(), .max_bytes = 64 << 20};
    EngineBackend backend(testing::toy_model(256), options);
    Service service(testing::served_by(backend), ServiceOptions{});
    const Json body = {{"prompt", std::string(39, 'p')}, {"max_tokens", 1}};
    EXPECT_EQ(answer_of(service, post("/v1/completions", body.dump())).head->status, 200);
    const std::string before = metrics_of(service);
    backend.stop();  // what is in memory goes to disk
    return parse(before);
  };
  const Exposition first = serve_once();
  EXPECT_EQ(first["tessera_disk_cache_limit_bytes"], 64 << 20);
  EXPECT_EQ(first["tessera_disk_cache_blocks_read_total"], 0);
  EXPECT_EQ(first["tessera_disk_cache_write_failures_total"], 0);
  const Exposition second = serve_once();
  EXPECT_GT(second["tessera_disk_cache_bytes"], 0);
  EXPECT_EQ(second["tessera_disk_cache_blocks_read_total"], 3);  // 16 + 16 + 7 of 40 tokens
  EXPECT_GE(second["tessera_disk_cache_tokens_read_total"], 39);
  EXPECT_EQ(second["tessera_disk_cache_read_failures_total"], 0);
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder.path())) {
    if (file.is_regular_file()) std::filesystem::resize_file(file.path(), file.file_size() - 1);
  }
  const Exposition third = serve_once();
  EXPECT_EQ(third["tessera_disk_cache_blocks_read_total"], 0);
  EXPECT_GT(third["tessera_disk_cache_read_failures_total"], 0);
}

}  // namespace
}  // namespace tessera::serve
