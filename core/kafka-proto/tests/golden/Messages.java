// Prints messages as Kafka's own clients encode them, one `name version hex` a line:
//   javac -cp kafka-clients-2.7.1.jar -d /tmp/golden Messages.java
//   java -cp kafka-clients-2.7.1.jar:slf4j-api-1.7.30.jar:/tmp/golden Messages > messages.txt
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Collections;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.types.Struct;
import org.apache.kafka.common.record.MemoryRecords;

public class Messages {
    static void print(String name, ApiMessage message, int... versions) {
        for (int version : versions) {
            Struct struct = message.toStruct((short) version);
            ByteBuffer buffer = ByteBuffer.allocate(struct.sizeOf());
            struct.writeTo(buffer);
            StringBuilder hex = new StringBuilder();
            for (byte b : buffer.array()) hex.append(String.format("%02x", b));
            System.out.println(name + " " + version + " " + hex);
        }
    }

    public static void main(String[] args) {
        print("end_quorum_epoch_request", new EndQuorumEpochRequestData().setClusterId("c").setTopics(Arrays.asList(
            new EndQuorumEpochRequestData.TopicData().setTopicName("t").setPartitions(Arrays.asList(
                new EndQuorumEpochRequestData.PartitionData().setPartitionIndex(1).setReplicaId(2).setLeaderId(3)
                    .setLeaderEpoch(4).setPreferredSuccessors(Arrays.asList(5, 6)))))), 0);
        print("end_quorum_epoch_request_null", new EndQuorumEpochRequestData(), 0);
        print("alter_isr_request", new AlterIsrRequestData().setBrokerId(1).setBrokerEpoch(2).setTopics(Arrays.asList(
            new AlterIsrRequestData.TopicData().setName("t").setPartitions(Arrays.asList(
                new AlterIsrRequestData.PartitionData().setPartitionIndex(3).setLeaderEpoch(4)
                    .setNewIsr(Arrays.asList(5, 6)).setCurrentIsrVersion(7))))), 0);
        print("alter_isr_response", new AlterIsrResponseData().setThrottleTimeMs(1).setErrorCode((short) 2).setTopics(Arrays.asList(
            new AlterIsrResponseData.TopicData().setName("t").setPartitions(Arrays.asList(
                new AlterIsrResponseData.PartitionData().setPartitionIndex(3).setErrorCode((short) 4).setLeaderId(5)
                    .setLeaderEpoch(6).setIsr(Arrays.asList(7, 8)).setCurrentIsrVersion(9))))), 0);
        print("produce_request", new ProduceRequestData().setTransactionalId(null).setAcks((short) -1).setTimeoutMs(2).setTopics(Arrays.asList(
            new ProduceRequestData.TopicProduceData().setName("t").setPartitions(Arrays.asList(
                new ProduceRequestData.PartitionProduceData().setPartitionIndex(3).setRecords(new byte[] {1, 2}))))), 3, 8);
        print("produce_response", new ProduceResponseData().setThrottleTimeMs(7).setResponses(Arrays.asList(
            new ProduceResponseData.TopicProduceResponse().setName("t").setPartitions(Arrays.asList(
            new ProduceResponseData.PartitionProduceResponse().setPartitionIndex(1).setErrorCode((short) 2).setBaseOffset(3)
                .setLogAppendTimeMs(4).setLogStartOffset(5).setErrorMessage("m").setRecordErrors(Arrays.asList(
                    new ProduceResponseData.BatchIndexAndErrorMessage().setBatchIndex(6).setBatchIndexErrorMessage("n"))))))), 0, 1, 2, 5, 8);
        print("fetch_request", new FetchRequestData().setReplicaId(-1).setMaxWaitMs(1).setMinBytes(2).setMaxBytes(3)
            .setIsolationLevel((byte) 1).setTopics(Arrays.asList(new FetchRequestData.FetchTopic().setTopic("t").setPartitions(
                Arrays.asList(new FetchRequestData.FetchPartition().setPartition(6).setCurrentLeaderEpoch(7).setFetchOffset(8)
                    .setLogStartOffset(9).setPartitionMaxBytes(10))))), 0, 3, 4, 5, 7, 9, 11);
        print("fetch_request_session", new FetchRequestData().setClusterId("c").setReplicaId(2).setSessionId(4).setSessionEpoch(5)
            .setTopics(Arrays.asList(new FetchRequestData.FetchTopic().setTopic("t").setPartitions(Arrays.asList(
                new FetchRequestData.FetchPartition().setPartition(6).setLastFetchedEpoch(11)))))
            .setForgottenTopicsData(Arrays.asList(new FetchRequestData.ForgottenTopic().setTopic("u").setPartitions(
                Arrays.asList(12)))).setRackId("r"), 12);
        print("fetch_response", new FetchResponseData().setThrottleTimeMs(1).setResponses(Arrays.asList(
            new FetchResponseData.FetchableTopicResponse().setTopic("t").setPartitionResponses(Arrays.asList(
                new FetchResponseData.FetchablePartitionResponse().setPartition(4).setErrorCode((short) 5).setHighWatermark(6)
                    .setLastStableOffset(7).setLogStartOffset(8).setAbortedTransactions(Arrays.asList(
                        new FetchResponseData.AbortedTransaction().setProducerId(9).setFirstOffset(10)))
                    .setRecordSet(MemoryRecords.readableRecords(ByteBuffer.wrap(new byte[] {1, 2, 3}))))))), 0, 1, 4, 5, 7, 11);
        print("fetch_response_epochs", new FetchResponseData().setErrorCode((short) 2).setSessionId(3).setResponses(Arrays.asList(
            new FetchResponseData.FetchableTopicResponse().setTopic("t").setPartitionResponses(Arrays.asList(
                new FetchResponseData.FetchablePartitionResponse().setPartition(4)
                    .setDivergingEpoch(new FetchResponseData.EpochEndOffset().setEpoch(5).setEndOffset(6))
                    .setCurrentLeader(new FetchResponseData.LeaderIdAndEpoch().setLeaderId(7).setLeaderEpoch(8))
                    .setAbortedTransactions(null).setPreferredReadReplica(9)
                    .setRecordSet(MemoryRecords.EMPTY))))), 12);
        print("list_offset_request", new ListOffsetRequestData().setReplicaId(-1).setIsolationLevel((byte) 1).setTopics(
            Arrays.asList(new ListOffsetRequestData.ListOffsetTopic().setName("t").setPartitions(Arrays.asList(
                new ListOffsetRequestData.ListOffsetPartition().setPartitionIndex(1).setCurrentLeaderEpoch(2).setTimestamp(3))))), 2, 4);
        print("metadata_request_all", new MetadataRequestData().setTopics(null), 1, 9);
        MetadataResponseData.MetadataResponseBrokerCollection brokers = new MetadataResponseData.MetadataResponseBrokerCollection();
        brokers.add(new MetadataResponseData.MetadataResponseBroker().setNodeId(1).setHost("h").setPort(2).setRack("r"));
        MetadataResponseData.MetadataResponseTopicCollection topics = new MetadataResponseData.MetadataResponseTopicCollection();
        topics.add(new MetadataResponseData.MetadataResponseTopic().setErrorCode((short) 3).setName("t").setIsInternal(true)
            .setPartitions(Arrays.asList(new MetadataResponseData.MetadataResponsePartition().setErrorCode((short) 4)
                .setPartitionIndex(5).setLeaderId(6).setLeaderEpoch(7).setReplicaNodes(Arrays.asList(8)).setIsrNodes(Arrays.asList(9))
                .setOfflineReplicas(Arrays.asList(10)))));
        print("metadata_response", new MetadataResponseData().setThrottleTimeMs(11).setBrokers(brokers).setClusterId("c")
            .setControllerId(12).setTopics(topics), 0, 1, 2, 3, 5, 7, 9);
        LeaderAndIsrRequestData.LeaderAndIsrPartitionState state = new LeaderAndIsrRequestData.LeaderAndIsrPartitionState()
            .setPartitionIndex(1).setControllerEpoch(2).setLeader(3).setLeaderEpoch(4).setIsr(Arrays.asList(5)).setZkVersion(6)
            .setReplicas(Arrays.asList(7)).setAddingReplicas(Arrays.asList(8)).setRemovingReplicas(Arrays.asList(9)).setIsNew(true);
        print("leader_and_isr_request", new LeaderAndIsrRequestData().setControllerId(10).setControllerEpoch(11).setBrokerEpoch(12)
            .setTopicStates(Arrays.asList(new LeaderAndIsrRequestData.LeaderAndIsrTopicState().setTopicName("t")
                .setPartitionStates(Arrays.asList(state)))).setLiveLeaders(Arrays.asList(
                    new LeaderAndIsrRequestData.LeaderAndIsrLiveLeader().setBrokerId(13).setHostName("h").setPort(14))), 2, 3, 4);
        print("update_metadata_request", new UpdateMetadataRequestData().setControllerId(1).setControllerEpoch(2).setBrokerEpoch(3)
            .setTopicStates(Arrays.asList(new UpdateMetadataRequestData.UpdateMetadataTopicState().setTopicName("t")
                .setPartitionStates(Arrays.asList(new UpdateMetadataRequestData.UpdateMetadataPartitionState().setPartitionIndex(4)
                    .setControllerEpoch(5).setLeader(6).setLeaderEpoch(7).setIsr(Arrays.asList(8)).setZkVersion(9)
                    .setReplicas(Arrays.asList(10)).setOfflineReplicas(Arrays.asList(11))))))
            .setLiveBrokers(Arrays.asList(new UpdateMetadataRequestData.UpdateMetadataBroker().setId(12).setRack("r")
                .setEndpoints(Arrays.asList(new UpdateMetadataRequestData.UpdateMetadataEndpoint().setPort(13).setHost("h")
                    .setListener("L").setSecurityProtocol((short) 3))))), 5, 6);
        print("offset_commit_request", new OffsetCommitRequestData().setGroupId("g").setGenerationId(1).setMemberId("m")
            .setGroupInstanceId("i").setTopics(Arrays.asList(new OffsetCommitRequestData.OffsetCommitRequestTopic().setName("t")
                .setPartitions(Arrays.asList(new OffsetCommitRequestData.OffsetCommitRequestPartition().setPartitionIndex(2)
                    .setCommittedOffset(3).setCommittedLeaderEpoch(4).setCommittedMetadata("d"))))), 7, 8);
        JoinGroupRequestData.JoinGroupRequestProtocolCollection protocols = new JoinGroupRequestData.JoinGroupRequestProtocolCollection();
        protocols.add(new JoinGroupRequestData.JoinGroupRequestProtocol().setName("range").setMetadata(new byte[] {1}));
        print("join_group_request", new JoinGroupRequestData().setGroupId("g").setSessionTimeoutMs(1).setRebalanceTimeoutMs(2)
            .setMemberId("m").setProtocolType("consumer").setProtocols(protocols), 0, 1, 5, 6);
        print("join_group_response", new JoinGroupResponseData().setThrottleTimeMs(1).setErrorCode((short) 2).setGenerationId(3)
            .setProtocolType("consumer").setProtocolName("range").setLeader("l").setMemberId("m").setMembers(Arrays.asList(
                new JoinGroupResponseData.JoinGroupResponseMember().setMemberId("n").setGroupInstanceId("i").setMetadata(new byte[] {4}))), 5, 6, 7);
        print("api_versions_request", new ApiVersionsRequestData().setClientSoftwareName("n").setClientSoftwareVersion("v"), 0, 3);
        ApiVersionsResponseData.ApiVersionsResponseKeyCollection keys = new ApiVersionsResponseData.ApiVersionsResponseKeyCollection();
        keys.add(new ApiVersionsResponseData.ApiVersionsResponseKey().setApiKey((short) 1).setMinVersion((short) 2).setMaxVersion((short) 3));
        ApiVersionsResponseData.SupportedFeatureKeyCollection supported = new ApiVersionsResponseData.SupportedFeatureKeyCollection();
        supported.add(new ApiVersionsResponseData.SupportedFeatureKey().setName("f").setMinVersion((short) 4).setMaxVersion((short) 5));
        ApiVersionsResponseData.FinalizedFeatureKeyCollection finalized = new ApiVersionsResponseData.FinalizedFeatureKeyCollection();
        finalized.add(new ApiVersionsResponseData.FinalizedFeatureKey().setName("g").setMaxVersionLevel((short) 6).setMinVersionLevel((short) 7));
        print("api_versions_response", new ApiVersionsResponseData().setErrorCode((short) 8).setApiKeys(keys).setThrottleTimeMs(9)
            .setSupportedFeatures(supported).setFinalizedFeaturesEpoch(10).setFinalizedFeatures(finalized), 3);
    }
}
