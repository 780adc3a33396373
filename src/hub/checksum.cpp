#include "hub/checksum.h"

#include <openssl/evp.h>

#include <array>

#include "base/error.h"

namespace tessera::hub {

struct ContextFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

struct Checksum::State {
  std::unique_ptr<EVP_MD_CTX, ContextFree> context;
};

namespace {

void require(int result) {
  if (result != 1) fail(ErrorKind::internal, "libcrypto refused to compute a checksum");
}

}  // namespace

std::string ExpectedChecksum::text() const {
  if (kind == ChecksumKind::none) return {};
  return (kind == ChecksumKind::sha256 ? "sha256:" : "git-sha1:") + hex;
}

Checksum::Checksum(ChecksumKind kind, std::uint64_t size) : state_(std::make_unique<State>()) {
  if (kind == ChecksumKind::none) return;
  state_->context.reset(EVP_MD_CTX_new());
  if (!state_->context) fail(ErrorKind::internal, "libcrypto gave no context");
  require(EVP_DigestInit_ex(state_->context.get(), kind == ChecksumKind::sha256 ? EVP_sha256() : EVP_sha1(),
                            nullptr));
  if (kind == ChecksumKind::git_sha1) {
    std::string header = "blob " + std::to_string(size);
    header.push_back('\0');
    update(header);
  }
}

Checksum::~Checksum() = default;
Checksum::Checksum(Checksum&&) noexcept = default;
Checksum& Checksum::operator=(Checksum&&) noexcept = default;

void Checksum::update(std::string_view bytes) {
  if (state_->context) require(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()));
}

std::string Checksum::finish() {
  if (!state_->context) return {};
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  require(EVP_DigestFinal_ex(state_->context.get(), digest.data(), &length));
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace tessera::hub
