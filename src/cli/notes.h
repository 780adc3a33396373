// What a conversation in the terminal says beside the answers, on standard error.
#pragma once
#include <string>

namespace tessera::cli {

// Text beside the conversation: dim, so that the answers stand out.
void show_note(const std::string& text);
void show_error(const std::string& text);

// The beginning of a message, to recognise it by.
std::string excerpt(const std::string& text);

}  // namespace tessera::cli
