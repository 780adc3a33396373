#include "cli/progress_bar.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/mapped_file.h"
#include "support/test_paths.h"

namespace tessera::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Progress half_way() {
  Progress progress;
  progress.stage = "download";
  progress.subject = "tiny.gguf";
  progress.done = 150'000'000;
  progress.total = 300'000'000;
  progress.per_second = 10'000'000;
  return progress;
}

TEST(ProgressBarTest, SizesHaveThreeDigits) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(1000), "1.00 kB");
  EXPECT_EQ(bytes_text(86'300'000), "86.3 MB");
  EXPECT_EQ(bytes_text(999'600), "1.00 MB");
  EXPECT_EQ(bytes_text(123'456'789'012), "123 GB");
  EXPECT_EQ(bytes_text(UINT64_MAX), "18.4 EB");
}

TEST(ProgressBarTest, Durations) {
  EXPECT_EQ(duration_text(0), "0 s");
  EXPECT_EQ(duration_text(59), "59 s");
  EXPECT_EQ(duration_text(185), "3:05");
  EXPECT_EQ(duration_text(3723), "1:02:03");
  EXPECT_EQ(duration_text(-1), "0 s");
}

TEST(ProgressBarTest, TheRecordInWords) {
  const std::string text = progress_text(half_way());
  EXPECT_THAT(text, HasSubstr("download tiny.gguf"));
  EXPECT_THAT(text, HasSubstr("50%"));
  EXPECT_THAT(text, HasSubstr("150 MB of 300 MB"));
  EXPECT_THAT(text, HasSubstr("10.0 MB/s"));
  EXPECT_THAT(text, HasSubstr("15 s left"));
}

TEST(ProgressBarTest, WithoutATotalNothingIsInvented) {
  Progress progress = half_way();
  progress.total = 0;
  EXPECT_THAT(progress_text(progress), Not(HasSubstr("%")));
  EXPECT_THAT(progress_text(progress), Not(HasSubstr("left")));
}

TEST(ProgressBarTest, TheBarFitsEveryWidth) {
  for (int width = 10; width < 200; ++width) {
    Progress progress = half_way();
    progress.subject = std::string(60, 'n');
    const std::string bar = progress_bar(progress, width);
    EXPECT_LT(static_cast<int>(bar.size()), width);
  }
  EXPECT_THAT(progress_bar(half_way(), 120), HasSubstr("[############............]"));
  Progress hostile = half_way();
  hostile.subject = "\x1b[31mred";
  EXPECT_THAT(progress_bar(hostile, 200), Not(HasSubstr("\x1b")));
}

TEST(ProgressBarTest, OutsideATerminalPlainLinesAndTheLastAlways) {
  const testing::TemporaryFolder folder;
  const std::string path = (folder.path() / "log").string();
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  {
    ProgressDisplay display(fd);
    for (int i = 0; i < 100; ++i) display.show(half_way());
    Progress last = half_way();
    last.done = last.total;
    last.finished = true;
    display.show(last);
  }
  ::close(fd);
  const std::string log = read_file(path);
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1);
  EXPECT_THAT(log, HasSubstr("100%"));
  EXPECT_THAT(log, Not(HasSubstr("\r")));
  EXPECT_THAT(log, Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace tessera::cli
