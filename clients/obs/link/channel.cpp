// SPDX-License-Identifier: GPL-2.0-or-later
#include "channel.h"

#include <fstream>
#include <iterator>
#include <stdexcept>

namespace cmstream {

namespace {

constexpr int kLargestMessageBytes = 64 << 20;
constexpr int kKeepaliveMs = 20'000;  // the server allows a ping every 10 s
constexpr int kKeepaliveTimeoutMs = 5'000;

std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file || text.empty())
        throw std::runtime_error("the certificate file " + path + " cannot be read: choose a PEM file");
    return text;
}

std::shared_ptr<grpc::ChannelCredentials> credentials_of(const Options& options) {
    if (!options.tls)
        return grpc::InsecureChannelCredentials();
    grpc::SslCredentialsOptions ssl;
    if (!options.ca_file.empty())
        ssl.pem_root_certs = read(options.ca_file);
    return grpc::SslCredentials(ssl);
}

}  // namespace

std::shared_ptr<grpc::Channel> channel_of(const Options& options) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kLargestMessageBytes);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    if (options.is_local())
        arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // a proxy in the environment is not meant for this machine
    return grpc::CreateCustomChannel(options.address, credentials_of(options), arguments);
}

void authorize(grpc::ClientContext& context, const Options& options) {
    if (!options.token.empty())
        context.AddMetadata("authorization", "Bearer " + options.token);
}

std::string explain(const grpc::Status& status, const Options& options) {
    const std::string& told = status.error_message();
    switch (status.error_code()) {
        case grpc::StatusCode::OK:
            return "the server ended the stream";
        case grpc::StatusCode::UNAVAILABLE:
            return "no server at " + options.address + ": start it with `cmstream serve` (" + told + ")";
        case grpc::StatusCode::DEADLINE_EXCEEDED:
            return "the server at " + options.address + " does not answer: check address and firewall";
        case grpc::StatusCode::UNAUTHENTICATED:
            return "the server wants its token: " + told;
        case grpc::StatusCode::UNIMPLEMENTED:
            return "what answers at " + options.address + " is no cmstream server; 50051 is its usual gRPC port";
        case grpc::StatusCode::FAILED_PRECONDITION:
            return "the stream has another publisher: give every filter its own stream name, or none (" + told + ")";
        case grpc::StatusCode::RESOURCE_EXHAUSTED:
            return "the server is full: " + told;
        default:
            return "the server ended the stream: " + told;
    }
}

}  // namespace cmstream
