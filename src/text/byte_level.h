// The byte-level alphabet of GPT-2 (Radford et al. 2019): every byte is written as one printable character,
// so that a vocabulary of text can hold any bytes. Space is U+0120 "Ġ", newline U+010A "Ċ".
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace tessera::text {

// Appends the character that stands for `byte`.
void append_byte_character(std::string& output, unsigned char byte);
// Every byte of `bytes` written as its character.
std::string to_byte_characters(std::string_view bytes);
// The bytes that `text` stands for; nullopt when a character is not of the alphabet.
std::optional<std::string> from_byte_characters(std::string_view text);

// Writes them to `output`, which has room for text.size() bytes, and returns where they end; nullptr in the
// same case.
char* write_bytes(std::string_view text, char* output);

}  // namespace tessera::text
