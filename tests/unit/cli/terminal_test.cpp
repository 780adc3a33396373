#include "cli/terminal.h"

#include <gtest/gtest.h>

#include <random>

namespace tessera::cli {
namespace {

TEST(TerminalTest, OrdinaryTextStays) {
  EXPECT_EQ(terminal_safe("plain\n\ttext"), "plain\n\ttext");
  EXPECT_EQ(terminal_safe("你好 — é 🙂"), "你好 — é 🙂");
  EXPECT_EQ(terminal_safe("a\r\nb"), "a\nb");
}

TEST(TerminalTest, WhatATerminalObeysBecomesVisible) {
  EXPECT_EQ(terminal_safe("\x1b[2J"), "␛[2J");
  EXPECT_EQ(terminal_safe("\x1b]0;title\x07"), "␛]0;title␇");
  EXPECT_EQ(terminal_safe("a\rb\x08\x7f"), "a␍b␈␡");
  EXPECT_EQ(terminal_safe(std::string_view("\0", 1)), "␀");
  EXPECT_EQ(terminal_safe("\xC2\x9B"
                          "31m"),
            "\uFFFD31m");  // CSI of the C1 set
  EXPECT_EQ(terminal_safe("\x9B"
                          "31m"),
            "\uFFFD31m");  // the same as a bare byte
}

TEST(TerminalTest, NoBytesMakeAnythingUnsafe) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 40, ' ');
    for (char& c : bytes) c = static_cast<char>(random());
    const std::string safe = terminal_safe(bytes);
    for (std::size_t i = 0; i < safe.size(); ++i) {
      const auto c = static_cast<unsigned char>(safe[i]);
      EXPECT_TRUE(c >= 0x20 || c == '\n' || c == '\t');
      EXPECT_NE(c, 0x7F);
      EXPECT_TRUE(c != 0xC2 || static_cast<unsigned char>(safe.at(i + 1)) >= 0xA0);
    }
    EXPECT_EQ(terminal_safe(safe), safe);
  }
}

}  // namespace
}  // namespace tessera::cli
