// Where the library's diagnostic lines go: nowhere, unless a program sets a sink.
#pragma once
#include <functional>
#include <string_view>

namespace tessera {

enum class LogLevel { debug, info, warning };

using LogSink = std::function<void(LogLevel, std::string_view line)>;

void set_log_sink(LogSink sink);
void log_line(LogLevel level, std::string_view line);

}  // namespace tessera
