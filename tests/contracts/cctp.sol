// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.29;

// Stand-ins for Circle's TokenMessengerV2 and CctpExtension, which no package ships. Ours, written from their published interfaces:
// the calls, the checks that a caller can meet and the event are those of the real contracts; attestation, limits, roles and
// upgrades are left out. The token that they move and burn is Circle's own.

interface Usdc {
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    function approve(address spender, uint256 amount) external returns (bool);
    function burn(uint256 amount) external;
    function receiveWithAuthorization(
        address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s
    ) external;
}

contract TokenMessenger {
    event DepositForBurn(
        address indexed burnToken,
        uint256 amount,
        address indexed depositor,
        bytes32 mintRecipient,
        uint32 destinationDomain,
        bytes32 destinationTokenMessenger,
        bytes32 destinationCaller,
        uint256 maxFee,
        uint32 indexed minFinalityThreshold,
        bytes hookData
    );

    function depositForBurnWithHook(
        uint256 amount,
        uint32 destinationDomain,
        bytes32 mintRecipient,
        address burnToken,
        bytes32 destinationCaller,
        uint256 maxFee,
        uint32 minFinalityThreshold,
        bytes calldata hookData
    ) external {
        require(hookData.length > 0, "Hook data is empty");
        require(amount > 0, "Amount must be nonzero");
        require(mintRecipient != bytes32(0), "Mint recipient must be nonzero");
        require(maxFee < amount, "Max fee must be less than amount");
        Usdc(burnToken).transferFrom(msg.sender, address(this), amount);
        Usdc(burnToken).burn(amount);
        bytes32 peer = bytes32(uint256(uint160(address(this))));
        emit DepositForBurn(
            burnToken, amount, msg.sender, mintRecipient, destinationDomain, peer, destinationCaller, maxFee, minFinalityThreshold,
            hookData
        );
    }
}

contract CctpExtension {
    struct Authorization {
        uint256 amount;
        uint256 authValidAfter;
        uint256 authValidBefore;
        bytes32 authNonce;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    struct Burn {
        uint256 amount;
        uint32 destinationDomain;
        bytes32 mintRecipient;
        bytes32 destinationCaller;
        uint256 maxFee;
        uint32 minFinalityThreshold;
        bytes hookData;
    }

    TokenMessenger private immutable messenger;
    address private immutable token;

    constructor(address messenger_, address token_) {
        messenger = TokenMessenger(messenger_);
        token = token_;
        Usdc(token_).approve(messenger_, type(uint256).max);
    }

    function batchDepositForBurnWithAuth(Authorization calldata a, Burn calldata b) external {
        require(a.amount > 0, "Total amount must be positive");
        require(b.amount > 0, "Batch size must be positive");
        require(a.amount % b.amount == 0, "Total amount must be divisible by batch size");
        Usdc(token).receiveWithAuthorization(
            msg.sender, address(this), a.amount, a.authValidAfter, a.authValidBefore, a.authNonce, a.v, a.r, a.s
        );
        for (uint256 left = a.amount / b.amount; left > 0; --left) {
            messenger.depositForBurnWithHook(
                b.amount, b.destinationDomain, b.mintRecipient, token, b.destinationCaller, b.maxFee, b.minFinalityThreshold, b.hookData
            );
        }
    }
}
