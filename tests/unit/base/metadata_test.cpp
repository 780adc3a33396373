#include "base/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace tessera {
namespace {

using ::testing::HasSubstr;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

Metadata sample() {
  Metadata metadata("config.json", nullptr);
  metadata.set("hidden_size", std::int64_t{64}, 17);
  metadata.set("rope_scaling.factor", 8.5);
  metadata.set("tie_word_embeddings", true);
  metadata.set_text("hidden_act", "silu", 40);
  metadata.set("sliding_window", std::monostate{});
  metadata.set("eos_token_id", Metadata::IntegerArray{1, 2});
  return metadata;
}

TEST(Metadata, GivesEachTypeBack) {
  const Metadata metadata = sample();
  EXPECT_EQ(metadata.require_int("hidden_size"), 64);
  EXPECT_DOUBLE_EQ(metadata.require_float("rope_scaling.factor"), 8.5);
  EXPECT_DOUBLE_EQ(metadata.require_float("hidden_size"), 64.0);
  EXPECT_EQ(metadata.find_bool("tie_word_embeddings"), true);
  EXPECT_EQ(metadata.require_string("hidden_act"), "silu");
  ASSERT_NE(metadata.find_ints("eos_token_id"), nullptr);
  EXPECT_THAT(*metadata.find_ints("eos_token_id"), ::testing::ElementsAre(1, 2));
  EXPECT_THAT(*metadata.find_floats("eos_token_id"), ::testing::ElementsAre(1.0, 2.0));
}

TEST(Metadata, NullAndMissingAreBothNothing) {
  const Metadata metadata = sample();
  EXPECT_FALSE(metadata.find_int("sliding_window").has_value());
  EXPECT_FALSE(metadata.find_int("no_such_key").has_value());
  EXPECT_FALSE(metadata.contains("sliding_window"));
}

TEST(Metadata, AWrongTypeIsAnErrorThatSaysWhereAndWhat) {
  const Metadata metadata = sample();
  const std::string message = message_of([&] { (void)metadata.find_int("hidden_act"); });
  EXPECT_THAT(message, HasSubstr("config.json"));
  EXPECT_THAT(message, HasSubstr("'hidden_act' at byte 40"));
  EXPECT_THAT(message, HasSubstr("expected an integer, found a string"));
}

TEST(Metadata, RequiredAndBoundedValues) {
  const Metadata metadata = sample();
  EXPECT_THAT(message_of([&] { (void)metadata.require_int("vocab_size"); }), HasSubstr("'vocab_size'"));
  EXPECT_EQ(metadata.require_int_in("hidden_size", 1, 64), 64);
  EXPECT_THAT(message_of([&] { (void)metadata.require_int_in("hidden_size", 1, 63); }),
              HasSubstr("from 1 to 63, found 64"));
}

TEST(Metadata, TheFirstValueOfAKeyStays) {
  Metadata metadata = sample();
  EXPECT_FALSE(metadata.set("hidden_size", std::int64_t{1}));
  EXPECT_EQ(metadata.require_int("hidden_size"), 64);
}

TEST(Error, HostileTextIsPrintedSafely) {
  EXPECT_EQ(printable("a\x1b[31m\n"), "a\\x1b[31m\\x0a");
  EXPECT_EQ(printable("abcdef", 3), "abc...");
}

}  // namespace
}  // namespace tessera
