#include "engine/block_key.h"

#include <openssl/evp.h>

#include <memory>

#include "base/error.h"

namespace tessera::engine {
namespace {

BlockKey sha256(std::span<const std::byte> head, std::span<const std::byte> rest) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  BlockKey key{};
  unsigned int size = 0;
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), head.data(), head.size()) != 1 ||
      EVP_DigestUpdate(context.get(), rest.data(), rest.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), key.data(), &size) != 1 || size != key.size()) {
    fail(ErrorKind::internal, "SHA-256 is not available");
  }
  return key;
}

}  // namespace

BlockKey root_block_key(std::string_view salt) {
  constexpr std::string_view kPrefix = "tessera text of ";
  return sha256(std::as_bytes(std::span(kPrefix)), std::as_bytes(std::span(salt)));
}

BlockKey block_key(const BlockKey& parent, std::span<const TokenId> tokens) {
  return sha256(std::as_bytes(std::span(parent)), std::as_bytes(tokens));
}

std::string key_text(const BlockKey& key) {
  std::string text;
  for (const std::uint8_t byte : key) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace tessera::engine
